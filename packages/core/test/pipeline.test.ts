import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { inParallel, isPipeline, type Pipeline } from '../src/pipeline'
import { isSpread, spread } from '../src/spread'
import { createTasks } from '../src/tasks'

function setup() {
  const tasks = createTasks({ namespace: 'test' })
  return {
    tasks,
    greet: tasks.bind('greet', (name: string, greeting = 'Hello') => `${greeting} ${name}`),
    bye: tasks.bind('bye', (line: string) => `${line}. Bye`),
    join: tasks.bind('join', (lines: unknown[]) => lines.join('; ')),
  }
}

test('a pipeline is its definition', () => {
  const { greet, bye, join } = setup()
  const pipeline = greet
    .send('John')
    .continueWith(
      inParallel([bye, bye.after(), greet.after('Hi').continueWith(bye)], {
        returnExceptions: true,
        maxParallelism: 2,
      }),
    )
    .continueWith(join)
  expect(pipeline.toJSON()).toEqual({
    v: 1,
    steps: [{ task: 'greet' }, { task: 'bye', open: 1 }, { task: 'greet', open: 1 }, { task: 'join', open: 1 }],
    chain: [
      [0, '["John"]'],
      { group: 3, chains: [[[1]], [[1]], [[2, '["Hi"]'], [1]]], returnExceptions: 1, maxParallelism: 2 },
      [3],
    ],
  })
})

test('continuing with a task is continuing with its after()', () => {
  const { greet, bye } = setup()
  expect(greet.send('a').continueWith(greet, 'b').toJSON()).toEqual(
    greet.send('a').continueWith(greet.after('b')).toJSON(),
  )
  expect(greet.send('a').continueWith(bye).toJSON()).toEqual(greet.send('a').continueWith(bye.after()).toJSON())
})

test('continuing with a pipeline appends all its entries', () => {
  const { greet, bye, join } = setup()
  const ending = bye
    .after()
    .continueWith(inParallel([bye]))
    .continueWith(join)
  expect(greet.send('a').continueWith(ending).toJSON()).toEqual(
    greet
      .send('a')
      .continueWith(bye)
      .continueWith(inParallel([bye]))
      .continueWith(join)
      .toJSON(),
  )
})

test('a pipeline is never changed, and may be used twice', () => {
  const { greet, bye, join } = setup()
  const start = greet.send('a')
  const before = JSON.stringify(start)
  const twice = inParallel([start, start.continueWith(bye), start.set({ queue: 'slow' })]).continueWith(join)
  expect(JSON.stringify(start)).toBe(before)
  expect(twice.toJSON().chain[0]).toEqual({ group: 3, chains: [[[0, '["a"]']], [[0, '["a"]'], [1]], [[2, '["a"]']]] })
})

test('set changes the last task only, and adds up', () => {
  const { greet, bye } = setup()
  const pipeline = greet
    .send('a')
    .continueWith(bye)
    .set({ retry: { maxRetries: 2 }, timeoutMs: 50 })
    .set({ priority: 3, queue: 'gpu', timeoutMs: 60, displayName: 'farewell' })
  expect(pipeline.toJSON().steps).toEqual([
    { task: 'greet' },
    {
      task: 'bye',
      open: 1,
      queue: 'gpu',
      retry: { maxRetries: 2, delayMs: 1000, factor: 2, maxDelayMs: 60_000, jitter: 'full' },
      timeoutMs: 60,
      priority: 3,
      displayName: 'farewell',
    },
  ])
})

test('what is set back to the default is left out', () => {
  const { tasks } = setup()
  const slow = tasks.bind('slow', () => 1, { queue: 'slow' })
  expect(slow.send().toJSON().steps).toEqual([{ task: 'slow', queue: 'slow' }])
  expect(slow.send().set({ queue: 'default', priority: 0 }).toJSON().steps).toEqual([{ task: 'slow' }])
})

test('a pipeline is not thenable, so that an async task can return one', async () => {
  const { greet } = setup()
  const pipeline = greet.send('a')
  expect('then' in pipeline).toBe(false)
  expect(await (async () => pipeline)()).toBe(pipeline)
})

test('groups may be empty, nested and large', () => {
  const { greet } = setup()
  expect(inParallel([]).toJSON().chain).toEqual([{ group: 0, chains: [] }])
  expect(inParallel([inParallel([]), inParallel([inParallel([greet.send('a')])])]).toJSON().chain).toEqual([
    {
      group: 2,
      chains: [[{ group: 0, chains: [] }], [{ group: 1, chains: [[{ group: 1, chains: [[[0, '["a"]']]] }]] }]],
    },
  ])
  const many = inParallel(Array.from({ length: 250_000 }, (_, i) => greet.send(String(i))))
  expect(many.toJSON().chain[0]).toHaveProperty('group', 250_000)
})

test('later changes to the list of entries do not matter', () => {
  const { greet, bye } = setup()
  const entries: Pipeline[] = [greet.send('a')]
  const group = inParallel(entries)
  entries.push(bye.send('x'))
  expect(group.toJSON().chain[0]).toHaveProperty('group', 1)
})

test('wrong arguments are refused with their place', () => {
  const { greet, bye } = setup()
  const refused = (fn: () => unknown): unknown => {
    try {
      return fn()
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`
    }
  }
  // As JavaScript would call them.
  const loose = greet.send('a') as unknown as { continueWith(...x: unknown[]): unknown; set(x: unknown): unknown }
  const group = inParallel as unknown as (...x: unknown[]) => unknown
  expect([
    refused(() => loose.continueWith(() => 1)),
    refused(() => loose.continueWith(function shout() {})),
    refused(() => loose.continueWith(undefined)),
    refused(() => loose.continueWith(bye.send('x'), 1)),
    refused(() => group('abc')),
    refused(() => group([greet.send('a'), Promise.resolve()])),
    refused(() => group([null])),
    refused(() => group([], { maxParallelism: 0 })),
    refused(() => group([], { maxParallelism: 1.5 })),
    refused(() => group([], { returnExceptions: 'yes' })),
    refused(() => group([], { max: 1 })),
    refused(() => inParallel([]).set({ queue: 'x' })),
    refused(() => loose.set({ timeoutMs: 0 })),
    refused(() => loose.set({ timeoutMs: '5' })),
    refused(() => loose.set({ priority: -1 })),
    refused(() => loose.set({ retry: { maxRetries: 1, retryFor: [Error] } })),
    refused(() => loose.set({ retry: {} })),
    refused(() => loose.set({ queue: '' })),
    refused(() => loose.set({ timeout: 5 })),
    refused(() => loose.set({ displayName: '' })),
  ]).toMatchInlineSnapshot(`
    [
      "TASKS_ARGUMENTS: continueWith: a task or a pipeline is needed, not the function (anonymous): bind it first, tasks.bind(name, fn)",
      "TASKS_ARGUMENTS: continueWith: a task or a pipeline is needed, not the function shout: bind it first, tasks.bind(name, fn)",
      "TASKS_ARGUMENTS: continueWith: a task or a pipeline is needed, not undefined",
      "TASKS_ARGUMENTS: continueWith: a pipeline has its own arguments; only a task takes more",
      "TASKS_ARGUMENTS: inParallel: the entries must be an array, not string",
      "TASKS_ARGUMENTS: inParallel: entry 1 must be a task or a pipeline, not object",
      "TASKS_ARGUMENTS: inParallel: entry 0 must be a task or a pipeline, not null",
      "TASKS_OPTIONS: inParallel: maxParallelism must be an integer of at least 1, not 0",
      "TASKS_OPTIONS: inParallel: maxParallelism must be an integer of at least 1, not 1.5",
      "TASKS_OPTIONS: inParallel: returnExceptions must be a boolean, not "yes"",
      "TASKS_OPTIONS: inParallel: there is no option "max"; known: returnExceptions, maxParallelism, ordered",
      "TASKS_ARGUMENTS: set: the last entry is a group; set() is for a task",
      "TASKS_OPTIONS: set() on task "greet": timeoutMs must be a finite number above 0, not 0",
      "TASKS_OPTIONS: set() on task "greet": timeoutMs must be a finite number above 0, not 5",
      "TASKS_OPTIONS: set() on task "greet": priority must be an integer of at least 0, not -1",
      "TASKS_OPTIONS: set() on task "greet": retry.retryFor belongs where the task is bound; classes and predicates cannot be sent",
      "TASKS_OPTIONS: retry.maxRetries must be an integer of at least 0, not undefined",
      "TASKS_ID_INVALID: queue "" must have 1 to 128 letters, digits, ".", "_", ":" or "-", and begin with a letter or digit",
      "TASKS_OPTIONS: set() on task "greet": there is no option "timeout"",
      "TASKS_OPTIONS: set() on task "greet": displayName must be a string that is not empty, not ",
    ]
  `)
})

test('a chain of 10,000 entries is the longest', () => {
  const { bye, greet } = setup()
  let chain: Pipeline<string> = greet.send('a')
  for (let i = 1; i < 10_000; i++) chain = chain.continueWith(bye)
  expect(chain.toJSON().chain).toHaveLength(10_000)
  expect(() => chain.continueWith(bye)).toThrow(expect.objectContaining({ code: 'TASKS_DEFINITION_TOO_LARGE' }))
})

test('a pipeline that doubles itself is refused before it fills the memory', () => {
  const { bye, greet } = setup()
  let chain: Pipeline<string> = greet.send('a')
  const double = (): void => {
    for (let i = 0; i < 64; i++) chain = chain.continueWith(chain)
  }
  expect(double).toThrow(/more than 10000 entries/)
  let wide: Pipeline<unknown, never> = bye.send('x')
  for (let i = 0; i < 60; i++) wide = inParallel([wide, wide])
  expect(() => wide.toJSON()).toThrow(expect.objectContaining({ code: 'TASKS_DEFINITION_TOO_LARGE' }))
})

test('a pipeline is no argument of a task', () => {
  const { greet } = setup()
  const loose = greet as unknown as { send(...x: unknown[]): Pipeline }
  expect(() => loose.send({ next: [greet.send('a')] }).toJSON()).toThrow(
    'the arguments of task "greet" (as $): the value at $[0].next[0] is a pipeline: return it from a task, or continue with it; it is not a value',
  )
})

test('a pipeline prints as its picture', () => {
  const { greet, bye } = setup()
  expect(inspect(greet.send('a').continueWith(bye))).toBe('Pipeline\ngreet → bye')
})

test('a pipeline is told from other things', () => {
  const { greet } = setup()
  expect([greet.send('a'), greet, { toJSON() {} }, null, Promise.resolve()].map(isPipeline)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})

test('spread keeps its values', () => {
  const two = spread('a', 1)
  expect(two.values).toEqual(['a', 1])
  expect([isSpread(two), isSpread(['a', 1]), isSpread({ values: [] }), isSpread(undefined)]).toEqual([
    true,
    false,
    false,
    false,
  ])
})
