// One thing goes wrong, again and again, and nothing else: what came of it can be told. soak.test.ts has all of them at once.
import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import type { MemoryFaults } from '../../src/memory'
import { virtualClock } from '../../src/testing/virtual-clock'
import { system } from '../support/system'

const LEASE_MS = 1_000
const CHILDREN = 24
const HOUR_MS = 3_600_000

type Kind = keyof MemoryFaults

/** The kind of call, what becomes of it, and once in how many calls, on average. */
const faults: readonly (readonly [kind: Kind, fault: unknown, every: number])[] = [
  ['commit', 'lost', 3],
  ['commit', 'unanswered', 3],
  ['commit', 'taken', 3],
  ['send', 'lost', 3],
  ['send', 'unanswered', 3],
  ['deliver', 'twice', 1],
  ['deliver', { lateMs: 3 * LEASE_MS }, 5],
  ['settle', 'lost', 2],
  ['settle', 'halved', 2],
  ['settle', 'unanswered', 2],
  ['receive', 'lost', 2],
  ['receive', 'unanswered', 5],
  ['receive', { lateMs: 2 * LEASE_MS }, 5],
  ['poll', 'lost', 3],
  ['poll', { lateMs: 2 * LEASE_MS }, 5],
  ['read', 'lost', 4],
  ['blob', 'lost', 3],
  ['heartbeat', 'failed', 2],
  ['heartbeat', 'expired', 2],
  ['claim', 'failed', 2],
  ['claim', 'unanswered', 2],
  ['reply', 'lost', 2],
  ['reply', 'twice', 1],
]

test.each(faults.flatMap((fault) => [[...fault, true] as const, [...fault, false] as const]))(
  '%s: %o, once in %i: each pipeline comes to its result, and nothing is counted twice (local lane: %s)',
  async (kind, fault, every, localLane) => {
    const clock = virtualClock()
    let hits = 0
    let calm = false
    const hook = (): unknown => {
      if (calm || clock.random() * every >= 1) return undefined
      hits++
      return fault
    }
    const { tasks, worker, client, rows } = system({
      clock,
      transport: { maxMessageBytes: 65_536, faults: { [kind]: hook } },
    })
    const load = tasks.bind('load', async (value: number) => {
      await new Promise<void>((resolve) => clock.after(100 * (value % 7), resolve))
      // Larger than what is carried in a message.
      return String(value).repeat(10_000)
    })
    const measure = tasks.bind('measure', (text: string) => Number(text.slice(0, text.length / 10_000)))
    const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))
    const fan = tasks.bind('fan', (count: number) =>
      inParallel(Array.from({ length: count }, (_, value) => load.send(value).continueWith(measure))).continueWith(sum),
    )
    // What is lost on the way is not the tasks' fault.
    for (let at = 0; at < 2; at++) await worker({ leaseMs: LEASE_MS, localLane, concurrency: 5, maxDeliveries: 1_000 })
    const submitter = client()
    const one = async (_: unknown, at: number): Promise<unknown> => {
      const run = await submitter.submit(fan, CHILDREN, { id: `p${at}` })
      return [await run.result(), await run.progress()]
    }
    let ended = false
    const all = Promise.all(Array.from({ length: 3 }, one)).finally(() => (ended = true))
    all.catch(() => undefined)
    while (!ended && clock.monotonic() < HOUR_MS) await clock.advanceToNext(clock.now() + HOUR_MS)
    calm = true
    await clock.advance(60_000)
    const total = 2 * CHILDREN + 2
    const right = [(CHILDREN * (CHILDREN - 1)) / 2, { done: total, total }]
    expect(await all).toEqual([right, right, right])
    expect(await submitter.deadLetters.list()).toEqual([])
    expect([...(await rows('P')), ...(await rows('X/'))]).toEqual([])
    expect(hits).toBeGreaterThan(0)
  },
)
