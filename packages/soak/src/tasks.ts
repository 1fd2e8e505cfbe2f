// What the processes of these tests run: plain arithmetic, so that a result can be told from a wrong one.
import { createTasks, inParallel, taskContext, TaskError, waitForEvent, type Pipeline } from '@tasks/core'
import { setTimeout as sleep } from 'node:timers/promises'

export const NAMESPACE = 'processes'
export const tasks = createTasks({ namespace: NAMESPACE })

const add = tasks.bind('add', async (value: number, more: number, ms: number) => {
  await sleep(ms)
  return value + more
})

/** Fails at its first attempt. */
const addLater = tasks.bind(
  'addLater',
  (value: number, more: number) => {
    if (taskContext().attempt === 1) throw new Error('not at once')
    return value + more
  },
  { retry: { maxRetries: 10, delayMs: 5, jitter: 'none' } },
)

const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))

/** A task that goes on as another pipeline. */
const fanOut = tasks.bind('fanOut', (start: number, chains: number): Pipeline<number, void> =>
  inParallel(
    Array.from({ length: chains }, (_, i) => add.send(start, i, i % 5).continueWith(addLater, 1)),
  ).continueWith(sum),
)

/** Tells whoever waits for this key what it was given. Under the same id it may be said again, when nobody knows whether it was heard. */
const tell = tasks.bind(
  'tell',
  async (value: number, key: string) => {
    await taskContext().sendEvent({ key, value, id: key })
    return value
  },
  {
    retry: {
      maxRetries: 10,
      delayMs: 50,
      retryFor: (error) => TaskError.is(error) && error.code === 'TASKS_UNAVAILABLE',
    },
  },
)

export interface Work {
  readonly pipeline: Pipeline<number, void>
  readonly expected: number
  /** Task entries that end well. */
  readonly tasks: number
}

/** A chain, a task that returns a group of chains, and a chain behind it. */
export function workOf(start: number, chains: number): Work {
  return {
    pipeline: add.send(start, 1, 2).continueWith(fanOut, chains).continueWith(add, 7, 1),
    expected: chains * (start + 2) + (chains * (chains - 1)) / 2 + 7,
    tasks: 4 + 2 * chains,
  }
}

/** Work that tells its result, and work that waits for it in its middle: whichever gets there first. */
export function pairOf(key: string, start: number, chains: number): readonly [tells: Work, hears: Work] {
  const { pipeline, expected, tasks: count } = workOf(start, chains)
  return [
    { pipeline: pipeline.continueWith(tell, key), expected, tasks: count + 1 },
    {
      pipeline: add.send(start, 1, start).continueWith(waitForEvent<number>({ key })).continueWith(add, 1, 1),
      expected: expected + 1,
      tasks: 2,
    },
  ]
}
