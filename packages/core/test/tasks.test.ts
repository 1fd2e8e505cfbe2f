import { expect, test } from 'vitest'
import { fanOut, inParallel } from '../src/pipeline'
import type { StandardSchema } from '../src/schema'
import { createTasks } from '../src/tasks'

const setup = (): ReturnType<typeof createTasks> => createTasks({ namespace: 'test' })
const text: StandardSchema<unknown, string> = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value: value as string }) },
}

test('a bound function is called as itself', async () => {
  const tasks = setup()
  const add = tasks.bind('add', (a: number, b = 1) => a + b)
  const late = tasks.bind('late', async (x: string) => x)
  const failing = tasks.bind('failing', (): never => {
    throw new RangeError('far')
  })
  const counter = {
    n: 1,
    next: tasks.bind('next', function (this: { n: number }) {
      return ++this.n
    }),
  }
  expect(add(1)).toBe(2)
  expect(add(1, 5)).toBe(6)
  expect(await late('x')).toBe('x')
  expect(() => failing()).toThrow(RangeError)
  expect(counter.next()).toBe(2)
  expect([add.length, late.name, add.taskName]).toEqual([1, 'late', 'add'])
})

test('one function may have two names, and stays as it was', () => {
  const tasks = setup()
  const fn = (x: number): number => x
  const a = tasks.bind('a', fn)
  const b = tasks.bind('b', fn)
  expect([a.taskName, b.taskName, a(1), Object.keys(fn)]).toEqual(['a', 'b', 1, []])
})

test('a registry finds its tasks by name and alias', () => {
  const tasks = setup()
  const load = tasks.bind('load', () => 1, { aliases: ['loadTimeseries', 'fetch'], queue: 'io' })
  tasks.bind('plain', () => 1)
  tasks.bind('other', () => 1, { queue: 'io' })
  expect(tasks.find('load')).toBe(load)
  expect(tasks.find('fetch')).toBe(load)
  expect(tasks.find('load')!.send().toText()).toBe(load.send().toText())
  expect(tasks.find('none')).toBeUndefined()
  expect(tasks.find('toString')).toBeUndefined()
  expect(tasks.names()).toEqual(['load', 'plain', 'other'])
  expect(tasks.queues()).toEqual(['io', 'default'])
})

test('a worker has the function, the options and the policy', () => {
  const tasks = createTasks({ namespace: 'test', retry: { maxRetries: 1, retryFor: [RangeError] } })
  const fn = (): number => 1
  tasks.bind('a', fn, { timeoutMs: 5, inputs: [] })
  tasks.bind('b', fn, { retry: { maxRetries: 7 } })
  const a = tasks.find('a')!
  expect(a.fn).toBe(fn)
  expect(a.options).toEqual({
    timeoutMs: 5,
    inputs: [],
    queue: 'default',
    retry: { maxRetries: 1, retryFor: [RangeError] },
  })
  expect(a.retryData).toEqual({ maxRetries: 1, delayMs: 1000, factor: 2, maxDelayMs: 60_000, jitter: 'full' })
  expect(tasks.find('b')!.retryData?.maxRetries).toBe(7)
  expect(setup().bind('c', fn)).toHaveProperty('retryData', undefined)
})

test('what a task is bound with goes into the definition', () => {
  const tasks = createTasks({ namespace: 'test', retry: { maxRetries: 1 } })
  const task = tasks.bind('a', () => 1, { timeoutMs: 5, queue: 'q', displayName: 'A' })
  expect(task.send().toJSON().steps).toEqual([
    {
      task: 'a',
      queue: 'q',
      retry: { maxRetries: 1, delayMs: 1000, factor: 2, maxDelayMs: 60_000, jitter: 'full' },
      timeoutMs: 5,
      displayName: 'A',
    },
  ])
})

test('a name or alias is bound once', () => {
  const tasks = setup()
  tasks.bind('a', () => 1, { aliases: ['old'] })
  const refused = expect.objectContaining({ code: 'TASKS_DUPLICATE_TASK' })
  expect(() => tasks.bind('a', () => 2)).toThrow('a task named "a" is already bound in namespace "test"')
  expect(() => tasks.bind('old', () => 2)).toThrow(refused)
  expect(() => tasks.bind('b', () => 2, { aliases: ['a'] })).toThrow(refused)
  expect(() => tasks.bind('c', () => 2, { aliases: ['c'] })).toThrow(refused)
  expect(tasks.names()).toEqual(['a'])
})

test('a stub is sent and not called', () => {
  const tasks = setup()
  const load = tasks.declare<(stock: string) => Promise<number[]>>('load', { queue: 'io', retry: { maxRetries: 2 } })
  expect(load.send('MSFT').toJSON()).toMatchObject({ steps: [{ task: 'load', queue: 'io', retry: { maxRetries: 2 } }] })
  expect(() => load('MSFT')).toThrow(expect.objectContaining({ code: 'TASKS_NOT_IMPLEMENTED' }))
  expect([tasks.find('load'), tasks.names()]).toEqual([undefined, []])
  expect(() => tasks.declare('load')).toThrow(expect.objectContaining({ code: 'TASKS_DUPLICATE_TASK' }))
  tasks.bind('load', async () => [1])
  expect(tasks.names()).toEqual(['load'])
})

test('a task of another registry is found out', () => {
  const tasks = setup()
  const other = createTasks({ namespace: 'other' })
  const mine = tasks.bind('mine', (x: number) => x)
  tasks.declare('declared')
  const theirs = other.bind('theirs', (x: number) => x)
  expect(tasks.send(mine, 1).toJSON()).toEqual(mine.send(1).toJSON())
  expect(() => tasks.send(theirs, 1)).toThrow(
    expect.objectContaining({
      code: 'TASKS_UNKNOWN_TASK',
      message: 'no task named "theirs" is registered in namespace "test"; known: mine, declared',
    }),
  )
  expect(() =>
    tasks.assertKnows(mine.send(1).continueWith(inParallel([mine, mine.after().continueWith(theirs)]))),
  ).toThrow(/"theirs"/)
  expect(() => tasks.assertKnows(mine.send(1).continueWith(inParallel([mine, mine])))).not.toThrow()
})

test('a task of another registry is found in handlers, templates and the finally', () => {
  const tasks = setup()
  const mine = tasks.bind('mine', (x: unknown) => x)
  const theirs = createTasks({ namespace: 'other' }).bind('theirs', (x: unknown) => x)
  for (const pipeline of [
    mine.send(1).exceptionally(theirs),
    inParallel([mine.send(1).exceptionally(mine).exceptionally(theirs)]),
    fanOut(mine.after().continueWith(theirs)),
    fanOut(fanOut(theirs)),
    mine.send(1).finallyDo(theirs, 1),
  ])
    expect(() => tasks.assertKnows(pipeline)).toThrow(/"theirs"/)
  expect(() => tasks.assertKnows(fanOut(mine).exceptionally(mine).finallyDo(mine, 1))).not.toThrow()
})

test('whether a result is kept goes with every use, from a stub too', () => {
  const tasks = setup()
  const pure = tasks.bind('pure', (x: number) => x, { checkpoint: false, state: text as never })
  expect(pure.send(1).set({ priority: 1 }).toJSON().steps).toEqual([{ task: 'pure', priority: 1, checkpoint: 0 }])
  expect(tasks.declare<typeof pure>('stub', { checkpoint: false }).send(1).toJSON().steps).toEqual([
    { task: 'stub', checkpoint: 0 },
  ])
  expect(
    tasks
      .bind('kept', () => 1, { checkpoint: true })
      .send()
      .toJSON().steps,
  ).toEqual([{ task: 'kept' }])
})

test('a check of groups in groups is quick', () => {
  const tasks = setup()
  let deep = inParallel([tasks.bind('a', () => 1).send()]) as ReturnType<typeof inParallel>
  for (let i = 0; i < 60; i++) deep = inParallel([deep, deep]) as ReturnType<typeof inParallel>
  expect(() => tasks.assertKnows(deep)).not.toThrow()
})

test('bad options are refused by name', () => {
  const tasks = setup()
  const bind = tasks.bind.bind(tasks) as unknown as (...x: unknown[]) => unknown
  const refused = (fn: () => unknown): unknown => {
    try {
      return fn()
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`
    }
  }
  const fn = (): number => 1
  expect([
    refused(() => bind('', fn)),
    refused(() => bind(7, fn)),
    refused(() => bind('a', 'fn')),
    refused(() => bind('a', fn, { retry: { maxRetries: -1 } })),
    refused(() => bind('a', fn, { retry: 3 })),
    refused(() => bind('a', fn, { timeoutMs: -5 })),
    refused(() => bind('a', fn, { queue: 'a b' })),
    refused(() => bind('a', fn, { timeout: 5 })),
    refused(() => bind('a', fn, { priority: 5 })),
    refused(() => bind('a', fn, { aliases: 'b' })),
    refused(() => bind('a', fn, { inputs: text })),
    refused(() => bind('a', fn, { inputs: [text, {}] })),
    refused(() => bind('a', fn, { state: {} })),
    refused(() => bind('a', fn, { checkpoint: 0 })),
    refused(() => bind('a', fn, { largeArguments: 1 })),
    refused(() => bind('a', fn, { taskId: 'x' })),
    refused(() => tasks.declare('d', { priority: 1 } as never)),
    refused(() => tasks.declare('d', { taskId: 'x' } as never)),
    refused(() => createTasks({ namespace: 'a/b' })),
    refused(() => createTasks({ namespace: 'a', queue: 'x' } as never)),
    refused(() => createTasks({ namespace: 'a', retry: { maxRetries: NaN } })),
    tasks.names(),
  ]).toMatchInlineSnapshot(`
    [
      "TASKS_ID_INVALID: task name "" must not be empty",
      "TASKS_ID_INVALID: task name 7 must be a string",
      "TASKS_ARGUMENTS: bind: task "a" needs a function, not string",
      "TASKS_OPTIONS: retry.maxRetries must be an integer of at least 0, not -1",
      "TASKS_OPTIONS: retry must be an object like { maxRetries: 3 }, not 3",
      "TASKS_OPTIONS: bind: task "a": timeoutMs must be a finite number above 0, not -5",
      "TASKS_ID_INVALID: queue "a b" must have 1 to 128 letters, digits, ".", "_", ":" or "-", and begin with a letter or digit",
      "TASKS_OPTIONS: bind: task "a": there is no option "timeout"",
      "TASKS_OPTIONS: bind: task "a": there is no option "priority"; use set()",
      "TASKS_OPTIONS: bind: task "a": aliases must be an array of names",
      "TASKS_OPTIONS: bind: task "a": inputs must be an array with a schema for each argument",
      "TASKS_OPTIONS: bind: task "a": inputs[1] is not a Standard Schema (version 1)",
      "TASKS_OPTIONS: bind: task "a": state is not a Standard Schema (version 1)",
      "TASKS_OPTIONS: bind: task "a": checkpoint must be a boolean, not 0",
      "TASKS_OPTIONS: bind: task "a": largeArguments must be a boolean, not 1",
      "TASKS_OPTIONS: bind: task "a": there is no option "taskId"; use set()",
      "TASKS_OPTIONS: declare: task "d": there is no option "priority"; use set()",
      "TASKS_OPTIONS: declare: task "d": there is no option "taskId"; use set()",
      "TASKS_ID_INVALID: namespace "a/b" must have 1 to 64 letters, digits, ".", "_" or "-", and begin with a letter or digit",
      "TASKS_OPTIONS: createTasks: there is no option "queue"",
      "TASKS_OPTIONS: retry.maxRetries must be an integer of at least 0, not NaN",
      [],
    ]
  `)
  expect(() => tasks.bind('ok', (a: string) => a, { inputs: [text] })).not.toThrow()
})
