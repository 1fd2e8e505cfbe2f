import { describe, expect, test } from 'vitest'
import { NonRetryableError, taskContext, TaskVetoError, type TaskHookName } from '../../src/index'
import { system, type System } from '../support/system'

const NAMES: readonly TaskHookName[] = ['taskReceived', 'taskStarted', 'taskFinished', 'taskRetry', 'emitResult']

/** Notes every event of the tasks of a system. */
function noted(sys: System): string[] {
  const notes: string[] = []
  for (const name of NAMES) {
    sys.tasks.events.on(name, (event) => {
      const end = 'error' in event && event.error !== undefined ? ` ${(event.error as Error).message}` : ''
      const result =
        'result' in event && event.result !== undefined && !('isPipeline' in event && event.isPipeline)
          ? ` = ${JSON.stringify(event.result)}`
          : ''
      notes.push(`${name} ${event.context.taskName} ${event.context.attempt}${end}${result}`)
    })
  }
  return notes
}

describe.each([true, false])('worker events (local lane: %s)', (localLane) => {
  test('come in order: of a task that succeeds, of one that is retried, of one that fails', async () => {
    const sys = system()
    const double = sys.tasks.bind('double', (n: number) => 2 * n)
    const flaky = sys.tasks.bind(
      'flaky',
      () => {
        if (taskContext().attempt === 1) throw new Error('not yet')
        return 'done'
      },
      { retry: { maxRetries: 1, delayMs: 1 } },
    )
    const broken = sys.tasks.bind(
      'broken',
      () => {
        throw new NonRetryableError('never')
      },
      { retry: { maxRetries: 5 } },
    )
    const notes = noted(sys)
    await sys.worker({ localLane })
    const client = sys.client()
    const taken = (): string[] => notes.splice(0)
    await (await client.submit(double, 21)).result()
    expect(taken()).toEqual([
      'taskReceived double 1',
      'taskStarted double 1',
      'taskFinished double 1 = 42',
      'emitResult double 1 = 42',
    ])
    await (await client.submit(flaky.send())).result()
    expect(taken()).toEqual([
      'taskReceived flaky 1',
      'taskStarted flaky 1',
      'taskFinished flaky 1 not yet',
      'taskRetry flaky 1 not yet',
      'taskReceived flaky 2',
      'taskStarted flaky 2',
      'taskFinished flaky 2 = "done"',
      'emitResult flaky 2 = "done"',
    ])
    await (await client.submit(broken.send())).result().catch(() => undefined)
    expect(taken()).toEqual([
      'taskReceived broken 1',
      'taskStarted broken 1',
      'taskFinished broken 1 never',
      'emitResult broken 1 never',
    ])
  })

  test('of a task that returns a pipeline end with its end: its result is that of the pipeline', async () => {
    const sys = system()
    const double = sys.tasks.bind('double', (n: number) => 2 * n)
    const outer = sys.tasks.bind('outer', () => double.send(4))
    const notes = noted(sys)
    await sys.worker({ localLane })
    expect(await (await sys.client().submit(outer.send())).result()).toBe(8)
    expect(notes.filter((note) => note.includes('outer'))).toEqual([
      'taskReceived outer 1',
      'taskStarted outer 1',
      'taskFinished outer 1',
    ])
  })

  test.each(['taskReceived', 'taskStarted', 'taskFinished'] as const)(
    'a veto from %s fails the task, which is not tried again',
    async (name) => {
      const sys = system()
      let calls = 0
      const task = sys.tasks.bind('task', () => ++calls, { retry: { maxRetries: 3, delayMs: 1 } })
      const after: string[] = []
      sys.tasks.events.on(name, async () => {
        await Promise.resolve()
        throw new TaskVetoError('forbidden')
      })
      sys.tasks.events.on(name, () => after.push('not called'))
      sys.tasks.events.on('emitResult', ({ error }) => after.push((error as Error).message))
      await sys.worker({ localLane })
      await expect((await sys.client().submit(task.send())).result()).rejects.toMatchObject({
        code: 'TASKS_VETOED',
        message: 'forbidden',
      })
      expect(calls).toBe(name === 'taskFinished' ? 1 : 0)
      expect(after).toEqual(['forbidden'])
    },
  )

  test('a veto from taskRetry fails the task, which is not tried again', async () => {
    const sys = system()
    let calls = 0
    const task = sys.tasks.bind(
      'task',
      () => {
        calls++
        throw new Error('not yet')
      },
      { retry: { maxRetries: 3, delayMs: 1 } },
    )
    const emitted: unknown[] = []
    sys.tasks.events.on('taskRetry', () => {
      throw new TaskVetoError('enough')
    })
    sys.tasks.events.on('emitResult', ({ error }) => emitted.push((error as Error).message))
    await sys.worker({ localLane })
    const run = await sys.client().submit(task.send())
    await expect(run.result()).rejects.toMatchObject({ code: 'TASKS_VETOED', message: 'enough' })
    expect(calls).toBe(1)
    expect(emitted).toEqual(['enough'])
  })

  test('a veto from emitResult, and whatever else a handler throws, is counted and changes nothing', async () => {
    const sys = system()
    const task = sys.tasks.bind('task', () => 7)
    const called: string[] = []
    for (const name of NAMES) {
      sys.tasks.events.on(name, () => {
        throw name === 'emitResult' ? new TaskVetoError('no') : new RangeError('a bug')
      })
      sys.tasks.events.on(name, () => called.push(name))
    }
    await sys.worker({ localLane })
    expect(await (await sys.client().submit(task.send())).result()).toBe(7)
    expect(called).toEqual(['taskReceived', 'taskStarted', 'taskFinished', 'emitResult'])
    expect(sys.tasks.events.failures).toBe(4)
  })

  test('a handler that was removed is not called; arguments are what the function gets', async () => {
    const sys = system()
    const add = sys.tasks.bind('add', (a: number, b: number) => a + b)
    const seen: unknown[] = []
    const stop = sys.tasks.events.on('taskStarted', ({ args }) => seen.push(args))
    await sys.worker({ localLane })
    const client = sys.client()
    await (await client.submit(add.send(1, 2))).result()
    stop()
    await (await client.submit(add.send(3, 4))).result()
    expect(seen).toEqual([[1, 2]])
  })
})

test('an unknown event, and what is no function, is refused', () => {
  const { tasks } = system()
  expect(() => tasks.events.on('taskDone' as never, () => undefined)).toThrow(/taskReceived, taskStarted/)
  expect(() => tasks.events.on('taskStarted', undefined as never)).toThrow(/function/)
})
