import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { NonRetryableError, RetryAfterError } from '../../src/errors'
import type { Pipeline } from '../../src/pipeline'
import type { RetryPolicy } from '../../src/retry'
import { createTasks, type Tasks } from '../../src/tasks'
import { testPipeline } from '../../src/testing'
import { virtualClock } from '../../src/testing/virtual-clock'
import { system } from '../support/system'

const steady = { delayMs: 1_000, jitter: 'none' } as const

/** A task that throws what it is told to, attempt by attempt, and then succeeds. */
function thrower(errors: readonly Error[], retry?: RetryPolicy): { tasks: Tasks; pipeline: Pipeline<number, void> } {
  const tasks = createTasks({ namespace: 'retries' })
  const task = tasks.bind(
    'task',
    (): number => {
      const error = errors[taskContext().attempt - 1]
      if (error !== undefined) throw error
      return taskContext().attempt
    },
    retry === undefined ? {} : { retry },
  )
  return { tasks, pipeline: task.send() }
}

/** When each attempt was made, in virtual ms. */
async function attempts(errors: readonly Error[], retry?: RetryPolicy) {
  const { tasks, pipeline } = thrower(errors, retry)
  const { result, error, timeline } = await testPipeline(pipeline, { tasks })
  return { result, code: error?.code, at: timeline.map(({ atMs }) => atMs) }
}

test('without a policy nothing is tried again', async () => {
  expect(await attempts([new Error('no')])).toEqual({ result: undefined, code: 'TASKS_TASK_FAILED', at: [0] })
})

test('attempt k waits delay × factor^(k-1), capped', async () => {
  const errors = Array.from({ length: 5 }, () => new Error('no'))
  expect(await attempts(errors, { maxRetries: 5, ...steady, factor: 3, maxDelayMs: 10_000 })).toEqual({
    result: 6,
    code: undefined,
    at: [0, 1_000, 4_000, 13_000, 23_000, 33_000],
  })
})

test('a RetryAfterError chooses its delay, and counts as an attempt of the policy', async () => {
  const errors = [new RetryAfterError('busy', 42_000), new RetryAfterError('free', 0), new Error('no')]
  expect(await attempts(errors, { maxRetries: 3, ...steady })).toEqual({
    result: 4,
    code: undefined,
    at: [0, 42_000, 42_000, 46_000],
  })
  expect(await attempts(errors, { maxRetries: 1, ...steady })).toEqual({
    result: undefined,
    code: 'TASKS_RETRY_AFTER',
    at: [0, 42_000],
  })
  // Whatever the policy says of other errors.
  expect((await attempts(errors.slice(0, 1), { maxRetries: 1, ...steady, retryFor: [RangeError] })).result).toBe(2)
  expect((await attempts(errors.slice(0, 1))).code).toBe('TASKS_RETRY_AFTER')
})

test('a NonRetryableError is the last, whatever the policy', async () => {
  expect(await attempts([new NonRetryableError('no')], { maxRetries: 9, ...steady, retryFor: () => true })).toEqual({
    result: undefined,
    code: 'TASKS_NON_RETRYABLE',
    at: [0],
  })
})

class Unreachable extends Error {}
class TimedOut extends Unreachable {}

test.each([
  ['a class', new Unreachable(), [Unreachable], true],
  ['a class that it is a subclass of', new TimedOut(), [RangeError, Unreachable], true],
  ['other classes', new TypeError(), [RangeError, Unreachable], false],
  [
    'a predicate that says yes',
    Object.assign(new Error('busy'), { status: 503 }),
    (error: unknown) => (error as { status: number }).status > 500,
    true,
  ],
  [
    'a predicate that says no',
    Object.assign(new Error('gone'), { status: 404 }),
    (error: unknown) => (error as { status: number }).status > 500,
    false,
  ],
  [
    'a predicate that throws',
    new Error('no'),
    () => {
      throw new Error('who asks?')
    },
    false,
  ],
] as const)('retryFor is asked in the worker: %s', async (_, error, retryFor, again) => {
  const { at } = await attempts([error], { maxRetries: 1, ...steady, retryFor } as RetryPolicy)
  expect(at).toEqual(again ? [0, 1_000] : [0])
})

test('one use may have another policy, and keeps the classes that the task was bound with', async () => {
  const { tasks, pipeline } = thrower([new Unreachable(), new Unreachable()], {
    maxRetries: 0,
    retryFor: [Unreachable],
  })
  const patient = pipeline.set({ retry: { maxRetries: 2, ...steady, factor: 1 } })
  expect((await testPipeline(patient, { tasks })).timeline.map(({ atMs }) => atMs)).toEqual([0, 1_000, 2_000])
  const { error, timeline } = await testPipeline(patient, { tasks, failOn: { task: [1] } })
  expect([error?.message, timeline.length]).toEqual(['start 1 of "task" was made to fail', 1])
  expect((await testPipeline(pipeline, { tasks })).timeline).toHaveLength(1)
})

test.each([true, false])(
  'an idempotency key is the same in each attempt, and in no other entry or run (local lane: %s)',
  async (localLane) => {
    const clock = virtualClock()
    const { tasks, worker, client } = system({ clock })
    const keys: string[] = []
    const charge = tasks.bind(
      'charge',
      () => {
        const { idempotencyKey, attempt } = taskContext()
        keys.push(idempotencyKey)
        if (attempt < 3) throw new Error('not yet')
      },
      { retry: { maxRetries: 2, ...steady } },
    )
    await worker({ localLane, leaseMs: 3_600_000 })
    const submitter = client()
    const twice = charge.send().continueWith(charge.send())
    for (const onDuplicate of ['return', 'restart'] as const) {
      const run = await submitter.submit(twice, { id: 'order', onDuplicate })
      const ended = run.result()
      await clock.advance(10_000)
      await ended
    }
    expect(keys).toHaveLength(12)
    expect([0, 3, 6, 9].map((at) => new Set(keys.slice(at, at + 3)).size)).toEqual([1, 1, 1, 1])
    expect(new Set(keys).size).toBe(4)
    // A lone task that is tried again becomes a pipeline on the way.
    await submitter.enqueue(charge.send())
    await clock.advance(10_000)
    expect(keys).toHaveLength(15)
    expect(new Set(keys.slice(12)).size).toBe(1)
  },
)
