// What an owner begins with. Which leader answers, and how much of the log it shows so soon after it was elected, is for the test to say: a cluster does so when it likes.
import { virtualClock } from '@tasks/core/testing'
import { expect, test } from 'vitest'
import { positionRecord, restore, rowRecord } from '../src/changelog'
import type { LogRecord, Place } from '../src/driver'
import { recordAt } from '../src/read-known'

const PLACE: Place = { topic: 'changelog', partition: 0 }

/** Two commits, each with a row and where it stands. */
const RECORDS: readonly LogRecord[] = [1, 2]
  .flatMap((seq) => [rowRecord('e/a', Buffer.from(`of ${seq}`)), positionRecord({ seq, time: seq, epoch: 1 })])
  .map((record, offset) => ({ ...record, offset, time: 0 }))

interface Leader {
  /** What it tells who asks for the end. */
  readonly end: number
  /** What it shows of it, at each read: the last for ever. */
  readonly shown: readonly number[]
  readonly records?: readonly LogRecord[]
}

function setup({ end, shown, records = RECORDS }: Leader) {
  const clock = virtualClock()
  let reads = 0
  const driver = {
    range: () => Promise.resolve({ start: 0, end }),
    read(_: Place, from: number) {
      const until = shown[Math.min(reads++, shown.length - 1)]!
      const some = records.filter(({ offset }) => offset >= from && offset < until)
      const chunk = {
        from,
        records: some,
        next: some.length === 0 ? from : some.at(-1)!.offset + 1,
        range: { start: 0, end: until },
      }
      return Promise.resolve(chunk)
    },
  }
  return { clock, driver, reads: () => reads }
}

async function restored(leader: Leader) {
  const { clock, driver } = setup(leader)
  // Of the driver it uses no more.
  const restoring = restore({ driver: driver as never, clock, place: PLACE, budget: 1_000 })
  const settled = restoring.then(
    async ({ standing, rows }) => ({ seq: standing.seq, row: String((await rows.load(['e/a']))[0]) }),
    (error: unknown) => error,
  )
  await clock.advance(60_000)
  return settled
}

test('a leader that shows less than is known to be stored is asked again, until it shows all of it', async () => {
  expect(await restored({ end: 4, shown: [2, 2, 2, 4] })).toEqual({ seq: 2, row: 'of 2' })
})

test('one that never shows it is not believed', async () => {
  expect(await restored({ end: 4, shown: [2] })).toMatchObject({
    code: 'TASKS_UNAVAILABLE',
    message: expect.stringContaining('it ends at 2, and ended at 4 before') as string,
  })
})

test('nothing is waited for where compaction has left nothing, up to the end', async () => {
  expect(await restored({ end: 9, shown: [9] })).toEqual({ seq: 2, row: 'of 2' })
})

test('whoever is not waited for any more stops reading', async () => {
  const { clock, driver, reads } = setup({ end: 4, shown: [2] })
  const lost = new AbortController()
  const restoring = restore({ driver: driver as never, clock, place: PLACE, budget: 1_000, signal: lost.signal })
  const settled = restoring.catch((error: unknown) => error)
  await clock.advance(100)
  const reason = new Error('enough')
  lost.abort(reason)
  expect(await settled).toBe(reason)
  const before = reads()
  await clock.advance(10_000)
  expect(reads()).toBe(before)
})

test('a record that is there is waited for, and one that compaction has removed is not', async () => {
  const late = setup({ end: 4, shown: [2, 2, 4] })
  const found = recordAt(late, PLACE, 2)
  await late.clock.advance(1_000)
  expect(String((await found)?.value)).toBe('of 2')
  const gone = setup({ end: 4, shown: [4], records: RECORDS.slice(3) })
  expect(await recordAt(gone, PLACE, 2)).toBeUndefined()
})
