import { expect, test } from 'vitest'
import { Arrivals, MOST_INPUTS } from '../../src/engine/arrivals'
import type { Capabilities, InboxMessage } from '../../src/transport'

const capabilities = { maxCommitItems: 10_000, maxCommitBytes: 8 << 20 } as Capabilities
const messages = (count: number, bytes: number): InboxMessage[] =>
  Array.from({ length: count }, (_, index) => ({ position: `${index}`, id: `${index}`, body: new Uint8Array(bytes) }))

test.each([
  ['many', MOST_INPUTS + 100, 1],
  ['large', 20, 1 << 20],
])('no more is asked for while too much waits here: %s messages', async (_, count, bytes) => {
  const arrivals = new Arrivals()
  arrivals.addMessages(messages(count, bytes))
  expect(arrivals.drained()).toBeUndefined()
  for (let more = 0; more < 4; more++) arrivals.addMessages(messages(count, bytes))
  let drained = false
  const waiting = arrivals.drained()?.then(() => (drained = true))
  expect(waiting).toBeDefined()
  let taken = 0
  while (!drained) {
    const { batch } = arrivals.take(capabilities)
    expect(batch.length).toBeGreaterThan(0)
    taken += batch.length
    await Promise.resolve()
  }
  // Not with each that is taken, and before the last.
  expect(taken).toBeGreaterThan(count)
  expect(arrivals.empty).toBe(false)
  expect(arrivals.drained()).toBeUndefined()
})
