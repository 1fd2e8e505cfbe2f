import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { virtualClock } from '../../src/testing/virtual-clock'
import { system } from '../support/system'

test.each([true, false])(
  'a task that runs too long fails, its signal says so, and what it does later counts no more (local lane: %s)',
  async (localLane) => {
    const clock = virtualClock()
    const { tasks, worker, client } = system({ clock })
    const reasons: unknown[] = []
    const deadlines: unknown[] = []
    const later = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
    const slow = tasks.bind(
      'slow',
      async () => {
        const { signal, deadline } = taskContext()
        deadlines.push(deadline! - clock.now())
        signal.addEventListener('abort', () => reasons.push(signal.reason))
        await later(5_000)
        return 'late'
      },
      { timeoutMs: 1_000 },
    )
    await worker({ localLane, leaseMs: 3_600_000 })
    const run = await client().submit(slow.send())
    const error = run.result().catch((thrown: unknown) => thrown)
    await clock.advance(999)
    expect(await run.status()).toMatchObject({ status: 'RUNNING', done: 0 })
    await clock.advance(2)
    expect(await error).toMatchObject({
      code: 'TASKS_TIMEOUT',
      message: 'the task "slow" did not end within 1000 ms',
      task: { name: 'slow', attempt: 1 },
    })
    expect(reasons).toMatchObject([{ code: 'TASKS_TIMEOUT' }])
    expect(deadlines).toEqual([1_000])
    await clock.advance(10_000)
    expect(await run.status()).toMatchObject({ status: 'FAILED', done: 0, attempts: 1 })
  },
)

test.each([true, false])(
  'a timeout is tried again, each attempt with all its time; in time there is no abort (local lane: %s)',
  async (localLane) => {
    const clock = virtualClock()
    const { tasks, worker, client } = system({ clock })
    const aborted: boolean[] = []
    const starts: number[] = []
    const began = clock.now()
    const improving = tasks.bind(
      'improving',
      async () => {
        const { attempt, signal } = taskContext()
        starts.push(clock.now() - began)
        await new Promise<void>((resolve) => clock.after(attempt === 3 ? 900 : 3_000, resolve))
        aborted[attempt - 1] = signal.aborted
        return attempt
      },
      { timeoutMs: 60_000, retry: { maxRetries: 2, delayMs: 100, factor: 1, jitter: 'none' } },
    )
    await worker({ localLane, leaseMs: 3_600_000 })
    const run = await client().submit(improving.send().set({ timeoutMs: 1_000 }))
    const result = run.result()
    await clock.advance(10_000)
    expect(await result).toBe(3)
    expect(starts).toEqual([0, 1_100, 2_200])
    expect(aborted).toEqual([true, true, false])
    expect(await run.status()).toMatchObject({ status: 'COMPLETED', attempts: 3 })
  },
)

test('a lone task has its timeout, too', async () => {
  const clock = virtualClock()
  const { tasks, worker, client } = system({ clock })
  const stuck = tasks.bind('stuck', () => new Promise<void>(() => undefined), { timeoutMs: 500 })
  await worker({ leaseMs: 3_600_000 })
  const handle = await client().enqueue(stuck.send(), { reply: true })
  const error = handle.result().catch((thrown: unknown) => thrown)
  await clock.advance(600)
  expect(await error).toMatchObject({ code: 'TASKS_TIMEOUT', task: { name: 'stuck' } })
})
