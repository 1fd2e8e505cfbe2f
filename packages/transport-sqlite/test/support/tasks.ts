// What the processes of these tests run. All of it is plain arithmetic, so that a result can be told from a wrong one.
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTasks, taskContext } from '@tasks/core'

export const NAMESPACE = 'engine'
export const tasks = createTasks({ namespace: NAMESPACE })

/** Says on stdout that it starts: synchronously, so that nothing is lost by what happens next. */
function say(what: string): void {
  writeSync(1, `${what} ${taskContext().taskId} ${process.pid}\n`)
}

export const echo = tasks.bind('echo', (value: number): number => value)

export const add = tasks.bind('add', async (value: number, more: number, ms: number) => {
  await sleep(ms)
  return value + more
})

/** Fails once, then adds. */
export const addLater = tasks.bind(
  'addLater',
  (value: number, more: number) => {
    if (taskContext().attempt === 1) throw new Error('not at once')
    return value + more
  },
  { retry: { maxRetries: 3, delayMs: 5, jitter: 'none' } },
)

export const sum = tasks.bind('sum', (values: number[]) => values.reduce((total, value) => total + value, 0))

/** Kills the process that runs it. */
export const poison = tasks.bind('poison', async (how: 'exit' | 'kill'): Promise<number> => {
  say('poison')
  if (how === 'exit') process.exit(13)
  process.kill(process.pid, 'SIGKILL')
  return sleep(60_000, 0)
})

/** Keeps the event loop of its process to itself: no heartbeat, no lease is extended meanwhile. */
export const block = tasks.bind('block', (value: number, ms: number): number => {
  say('block')
  const until = performance.now() + ms
  while (performance.now() < until);
  return value
})

export const wait = tasks.bind('wait', async (value: number, ms: number) => {
  say('wait')
  await sleep(ms)
  return value
})
