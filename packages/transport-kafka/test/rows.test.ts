import { systemClock } from '@tasks/core/adapter'
import { expect, test } from 'vitest'
import type { LogRecord } from '../src/driver'
import { Rows } from '../src/rows'

const CHANGELOG = { topic: 'changelog', partition: 0 }
/** With what is counted for each beside its bytes, room for three values. */
const BUDGET = 3 * (150 + 10)

function setup() {
  const log: LogRecord[] = []
  const read: number[] = []
  const driver = {
    read(_: unknown, from: number) {
      read.push(from)
      const chunk = { from, records: log.slice(from, from + 1), next: from + 1, range: { start: 0, end: log.length } }
      return Promise.resolve(chunk)
    },
  }
  const rows = new Rows({ driver, clock: systemClock, changelog: CHANGELOG, budget: BUDGET })
  return {
    set(key: string, text: string | null) {
      const value = text === null ? null : Buffer.from(text.padEnd(10))
      rows.set(key, value, log.length)
      log.push({ key: Buffer.from(key), value, offset: log.length, time: 0 })
    },
    /** What the row is, and whether it had to be read. */
    async load(key: string): Promise<readonly [string | undefined, boolean]> {
      const before = read.length
      const [value] = await rows.load([key])
      return [value === undefined ? undefined : String(value).trim(), read.length > before]
    },
  }
}

test('the values that were used last are in memory, and all others are read again', async () => {
  const { set, load } = setup()
  for (const key of ['a', 'b', 'c']) set(key, key)
  expect(await load('a')).toEqual(['a', false])
  set('d', 'd')
  // The oldest is b now, of which nobody has asked since.
  expect(await load('c')).toEqual(['c', false])
  expect(await load('a')).toEqual(['a', false])
  expect(await load('b')).toEqual(['b', true])
  expect(await load('d')).toEqual(['d', true])
})

test('it stays so while rows are written again, deleted, and all of them forgotten', async () => {
  const { set, load } = setup()
  for (let round = 0; round < 50; round++) for (const key of ['a', 'b', 'c', 'd', 'e']) set(key, `${key}${round}`)
  set('e', null)
  expect(await load('e')).toEqual([undefined, false])
  expect(await load('d')).toEqual(['d49', false])
  for (const key of ['c', 'd']) set(key, null)
  set('f', 'f')
  set('large', 'x'.repeat(1_000))
  expect(await load('large')).toEqual(['x'.repeat(1_000), false])
  expect(await load('f')).toEqual(['f', true])
  expect(await load('f')).toEqual(['f', false])
  expect(await load('a')).toEqual(['a49', true])
})
