import { expect, test, vi } from 'vitest'
import { virtualClock } from '../../src/testing/virtual-clock'
import type { Transport } from '../../src/transport'
import { system } from '../support/system'

// Enough on a machine that is busy with something else.
vi.setConfig({ testTimeout: 60_000 })

test('runs that expire together are cleaned a few at a time, and all of them', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect, rows } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  const transport = connect()
  const cleaning = watchDrops(transport)
  await worker({}, transport)
  const submitter = client()
  const values = Array.from({ length: 1_000 }, (_, index) => index)
  await Promise.all(values.map((value) => submitter.submit(echo, value, { retentionMs: 60_000 })))
  await clock.advance(30_000)
  expect((await rows('M/')).length).toBe(1_000)
  await clock.advance(60_000)
  expect([await rows('M/'), await rows('X/'), await rows('T/')]).toEqual([[], [], []])
  expect(cleaning.calls).toBe(1_000)
  // Of four partitions.
  expect(cleaning.most).toBeLessThanOrEqual(4 * 32)
})

/** Counts calls that drop blobs, and how many there are at a time. */
function watchDrops(transport: Transport): { calls: number; most: number } {
  const seen = { calls: 0, most: 0 }
  let now = 0
  const open = transport.open.bind(transport)
  transport.open = async (options) => {
    const space = await open(options)
    const drop = space.blobs.drop.bind(space.blobs)
    space.blobs.drop = async (prefix) => {
      seen.calls++
      seen.most = Math.max(seen.most, ++now)
      await new Promise((resolve) => setImmediate(resolve))
      await drop(prefix).finally(() => now--)
    }
    return space
  }
  return seen
}
