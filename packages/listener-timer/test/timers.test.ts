import { createClient, createTasks, sleep, startWorker, waitForEvent, type PollOptions } from '@tasks/core'
import { memoryStore, memoryTransport } from '@tasks/core/memory'
import { silentLogger, testPipeline, virtualClock } from '@tasks/core/testing'
import { describe, expect, test, vi } from 'vitest'
import { bindTimers } from '../src/index'

/** When `testPipeline` begins: a Thursday. */
const BEGIN = Date.UTC(2026, 0, 1)
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

function timersOf() {
  const tasks = createTasks({ namespace: 'timers' })
  const timers = bindTimers(tasks)
  return { tasks, timers, echo: tasks.bind('echo', (due: number) => new Date(due).toISOString()) }
}

describe('a timer', () => {
  test('fires at its time, and gives it', async () => {
    const { tasks, timers, echo } = timersOf()
    const wait = waitForEvent(timers.at, new Date(BEGIN + 7 * DAY_MS)).continueWith(echo)
    const { result, timeline } = await testPipeline(wait, { tasks })
    expect(result).toBe('2026-01-08T00:00:00.000Z')
    expect(timeline.find(({ task }) => task === 'echo')!.atMs).toBe(7 * DAY_MS)
  })

  test('fires at once if its time is over', async () => {
    const { tasks, timers } = timersOf()
    const { result, timeline } = await testPipeline(waitForEvent(timers.at, BEGIN - DAY_MS), { tasks })
    expect(result).toBe(BEGIN - DAY_MS)
    expect(timeline.at(-1)!.atMs).toBeLessThan(1_000)
  })

  test('counts a duration from when the pipeline gets there', async () => {
    const { tasks, timers } = timersOf()
    const late = sleep(3 * HOUR_MS).continueWith(waitForEvent(timers.after, 2 * HOUR_MS))
    expect((await testPipeline(late, { tasks })).result).toBe(BEGIN + 5 * HOUR_MS)
  })

  test('waits for as long, or until, as the entry before it says', async () => {
    const { tasks, timers } = timersOf()
    const shelf = tasks.bind('shelf', (days: number) => days * DAY_MS)
    const due = tasks.bind('due', (days: number) => new Date(BEGIN + days * DAY_MS))
    const both = shelf.send(2).continueWith(timers.delay)
    expect((await testPipeline(both, { tasks })).result).toBe(BEGIN + 2 * DAY_MS)
    expect((await testPipeline(due.send(3).continueWith(timers.until), { tasks })).result).toBe(BEGIN + 3 * DAY_MS)
  })

  test('fires at the next tick of a crontab, in its time zone', async () => {
    const { tasks, timers } = timersOf()
    const monday = waitForEvent(timers.cron, '0 9 * * mon', { timeZone: 'Europe/Berlin' })
    expect((await testPipeline(monday, { tasks })).result).toBe(Date.UTC(2026, 0, 5, 8))
    const twice = sleep(36 * HOUR_MS).continueWith(waitForEvent(timers.cron, '30 * * * *'))
    expect((await testPipeline(twice, { tasks })).result).toBe(BEGIN + 36.5 * HOUR_MS)
  })

  test('runs what was missed once, and what was handled not again', async () => {
    const { tasks, timers } = timersOf()
    const daily = (after: number) => waitForEvent(timers.cron, '0 9 * * *', { after })
    // Ten days were missed: the last of them counts.
    const missed = await testPipeline(daily(BEGIN - 10 * DAY_MS + 9 * HOUR_MS), { tasks })
    expect(missed.result).toBe(BEGIN - DAY_MS + 9 * HOUR_MS)
    expect(missed.timeline.at(-1)!.atMs).toBeLessThan(1_000)
    // By a clock that is behind, this tick has not been yet; it was handled all the same.
    const ahead = await testPipeline(daily(BEGIN + 9 * HOUR_MS), { tasks })
    expect(ahead.result).toBe(BEGIN + DAY_MS + 9 * HOUR_MS)
  })

  test('does not try again what is wrong', async () => {
    const { tasks, timers } = timersOf()
    const soon = tasks.bind('soon', () => -1)
    const { error, timeline } = await testPipeline(soon.send().continueWith(timers.delay), { tasks })
    expect(error).toMatchObject({ code: 'TASKS_ARGUMENTS' })
    expect(timeline).toHaveLength(2)
    expect(() => waitForEvent(timers.cron, '* * *')).toThrow(/five fields/)
    expect(() => waitForEvent(timers.cron, '* * * * *', { timeZone: 'Nowhere' })).toThrow(/no time zone/)
    expect(() => waitForEvent(timers.at, NaN)).toThrow(/not NaN/)
    expect(() => waitForEvent(timers.after, -1)).toThrow(/not -1/)
    expect(() => bindTimers(tasks)).toThrow(/already bound/)
    expect(bindTimers(tasks, { name: 'another' }).at.listenerName).toBe('another.at')
  })
})

test('a timer fires though listeners that wait have every slot of their own', async () => {
  const { tasks, timers } = timersOf()
  let polls = 0
  const never = tasks.bindListener('never', {
    async pollForEvent({ signal }: PollOptions): Promise<never> {
      polls++
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    },
  })
  const transport = memoryTransport()
  const worker = await startWorker({ tasks, transport, logger: silentLogger, listenerSlots: 1, partitions: 1 })
  const client = createClient({ namespace: 'timers', transport, logger: silentLogger })
  try {
    await client.submit(waitForEvent(never))
    await vi.waitFor(() => expect(polls).toBe(1), 20_000)
    const run = await client.submit(waitForEvent(timers.after, 5))
    expect(await run.result({ timeoutMs: 20_000 })).toBeLessThanOrEqual(Date.now())
  } finally {
    await client.close()
    await worker.close({ drainMs: 0 })
    await transport.close()
  }
}, 60_000)

test('nobody has to be there while a timer waits', async () => {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  const { tasks, timers } = timersOf()
  const start = async () => {
    const transport = memoryTransport({ store, clock })
    const worker = await startWorker({ tasks, transport, clock, logger: silentLogger, partitions: 1 })
    return async () => {
      const closing = worker.close({ drainMs: 0 }).then(() => transport.close())
      await clock.advance(60_000)
      await closing
    }
  }
  const transport = memoryTransport({ store, clock })
  const client = createClient({ namespace: 'timers', transport, clock, logger: silentLogger })
  const stop = await start()
  const run = await client.submit(waitForEvent(timers.cron, '0 9 * * *'), { id: 'p' })
  await clock.advance(1_000)
  await stop()
  const rows = [...store.namespaces.get('timers')!.partitions[0]!.rows.keys()]
  expect(rows.filter((key) => key.startsWith('T/'))).toHaveLength(1)
  await clock.advance(30 * DAY_MS)
  const stopAgain = await start()
  const ending = run.result()
  await clock.advance(60_000)
  expect(await ending).toBe(BEGIN + 9 * HOUR_MS)
  const closing = client.close().then(() => transport.close())
  await stopAgain()
  await closing
})
