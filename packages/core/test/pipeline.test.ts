import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { fanOut, inParallel, isPipeline, sleep, sleepUntil, type Pipeline } from '../src/pipeline'
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

test('handlers, a finally and pauses are part of the definition', () => {
  const { tasks, greet, bye } = setup()
  const excuse = tasks.bind('excuse', (error: unknown, name: string) => `${name}: ${String(error)}`)
  const pipeline = greet
    .send('a')
    .pauseAfter()
    .exceptionally(excuse, 'b')
    .exceptionally(excuse, 'c')
    .continueWith(bye)
    .continueWith(inParallel([greet, greet.after('Hi').exceptionally(excuse, 'd')], { ordered: false }).pauseAfter())
    .finallyDo(greet, 'e')
    .set({ timeoutMs: 5 })
  expect(pipeline.toJSON()).toEqual({
    v: 1,
    steps: [
      { task: 'greet', timeoutMs: 5 },
      { task: 'greet', pauseAfter: 1 },
      { task: 'excuse', open: 1, catch: 1 },
      { task: 'bye', open: 1 },
      { task: 'greet', open: 1 },
    ],
    chain: [
      [1, '["a"]'],
      [2, '["b"]'],
      [2, '["c"]'],
      [3],
      {
        group: 2,
        chains: [
          [[4]],
          [
            [4, '["Hi"]'],
            [2, '["d"]'],
          ],
        ],
        unordered: 1,
        pauseAfter: 1,
      },
    ],
    finally: [0, '["e"]'],
  })
})

test('a fan-out has a template, which is a task or a pipeline', () => {
  const { tasks, greet, bye } = setup()
  const names = tasks.bind('names', () => ['a', 'b'])
  const pipeline = names
    .send()
    .continueWith(fanOut(greet.after('Hi').continueWith(sleep(1.5)), { maxParallelism: 2 }))
    .continueWith(fanOut(bye, { ordered: false, returnExceptions: true }).pauseAfter())
  expect(pipeline.toJSON().chain).toEqual([
    [0],
    { each: [[1, '["Hi"]'], { sleep: 2 }], maxParallelism: 2 },
    { each: [[2]], returnExceptions: 1, unordered: 1, pauseAfter: 1 },
  ])
})

test('sleeps are whole milliseconds, and a time that is over is the beginning of time', () => {
  expect(
    sleep(0.1)
      .continueWith(sleepUntil(new Date(5)))
      .continueWith(sleepUntil(-5))
      .pauseAfter()
      .toJSON().chain,
  ).toEqual([{ sleep: 1 }, { sleepUntil: 5 }, { sleepUntil: 0, pauseAfter: 1 }])
})

test('what a pipeline begins with, and whether it is inline, stays with it as it goes on', () => {
  const { greet, bye } = setup()
  const pipeline = greet
    .after()
    .withInitial({ args: ['a'] })
    .inline()
    .continueWith(bye)
    .set({ priority: 1 })
    .pauseAfter()
    .withInitial({ state: { count: 1 } })
    .finallyDo(bye, 'x')
  expect(pipeline.toJSON()).toMatchObject({ input: '["a"]', state: { count: '1' }, inline: 1, finally: [0, '["x"]'] })
  expect(
    greet
      .after()
      .withInitial({ args: [] as never })
      .toJSON(),
  ).not.toHaveProperty('input')
})

test('a condition that does not hold leaves the pipeline as it is', () => {
  const { greet, bye } = setup()
  const start = greet.send('a')
  expect(start.continueIf(false, bye)).toBe(start)
  expect(start.continueIf(true, greet, 'b').toJSON()).toEqual(start.continueWith(greet, 'b').toJSON())
})

test('a task id names one entry', () => {
  const { greet } = setup()
  const one = greet.send('a').set({ taskId: 'first' })
  expect(one.toJSON().steps).toEqual([{ task: 'greet', taskId: 'first' }])
  expect(() => one.continueWith(greet).set({ taskId: 'first' }).toJSON()).toThrow(
    expect.objectContaining({ code: 'TASKS_DEFINITION_INVALID' }),
  )
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
  type Loose = Readonly<
    Record<
      'continueWith' | 'continueIf' | 'exceptionally' | 'finallyDo' | 'withInitial' | 'pauseAfter' | 'set',
      (...x: unknown[]) => Pipeline
    >
  >
  const loose = greet.send('a') as unknown as Loose
  const open = greet.after() as unknown as Loose
  const last = greet.send('a').finallyDo(bye, 'x') as unknown as Loose
  const each = fanOut as unknown as (...x: unknown[]) => unknown
  const wait = sleep as unknown as (ms: unknown) => unknown
  const waitUntil = sleepUntil as unknown as (ms: unknown) => unknown
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
    refused(() => loose.set({ taskId: '' })),
    refused(() => loose.set({ pauseAfter: true })),
    refused(() => (sleep(5) as unknown as Loose).set({ queue: 'x' })),
    refused(() => (fanOut(greet) as unknown as Loose).set({ queue: 'x' })),
    refused(() => loose.continueIf('yes', greet)),
    refused(() => loose.continueIf(false, () => 1)),
    refused(() => loose.exceptionally(greet.after())),
    refused(() => loose.finallyDo(() => 1)),
    refused(() => last.continueWith(greet)),
    refused(() => last.exceptionally(greet)),
    refused(() => last.finallyDo(greet)),
    refused(() => last.pauseAfter()),
    refused(() => loose.continueWith(last)),
    refused(() => group([greet, last])),
    refused(() => each(last)),
    refused(() => each(() => 1)),
    refused(() => each(greet, { maxParallelism: 0 })),
    refused(() => each(greet, { ordered: 1 })),
    refused(() => group([open.withInitial({ args: ['a'] })])),
    refused(() => loose.continueWith(open.withInitial({ state: {} }))),
    refused(() => each(greet.after().inline())),
    refused(() => loose.withInitial({ args: ['a'] })),
    refused(() => (inParallel([loose, loose] as never) as unknown as Loose).withInitial({ args: ['a'] })),
    refused(() => open.withInitial({ args: 'a' })),
    refused(() => open.withInitial({ state: [] })),
    refused(() => open.withInitial({ state: new Map() })),
    refused(() => open.withInitial({ state: { '': 1 } })),
    refused(() => open.withInitial({ input: 1 })),
    refused(() => open.withInitial()),
    refused(() => open.withInitial({ state: { f: () => 1 } }).toJSON()),
    refused(() => open.withInitial({ args: [() => 1] }).toJSON()),
    refused(() => wait(-1)),
    refused(() => wait('5')),
    refused(() => wait(Infinity)),
    refused(() => waitUntil(new Date(NaN))),
    refused(() => waitUntil(null)),
    refused(() => waitUntil('2026-01-01')),
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
      "TASKS_ID_INVALID: task id "" must not be empty",
      "TASKS_OPTIONS: set() on task "greet": there is no option "pauseAfter"",
      "TASKS_ARGUMENTS: set: the last entry is a sleep; set() is for a task",
      "TASKS_ARGUMENTS: set: the last entry is a fan-out; set() is for a task",
      "TASKS_ARGUMENTS: continueIf: the condition must be a boolean, known now, not string; a task that returns a pipeline decides later",
      "TASKS_ARGUMENTS: continueWith: a task or a pipeline is needed, not the function (anonymous): bind it first, tasks.bind(name, fn)",
      "TASKS_ARGUMENTS: exceptionally: a task is needed, not a pipeline",
      "TASKS_ARGUMENTS: finallyDo: a task is needed, not the function (anonymous): bind it first, tasks.bind(name, fn)",
      "TASKS_ARGUMENTS: continueWith: the pipeline ends with finallyDo, and nothing comes after that",
      "TASKS_ARGUMENTS: exceptionally: the pipeline ends with finallyDo, and nothing comes after that",
      "TASKS_ARGUMENTS: finallyDo: the pipeline ends with finallyDo, and nothing comes after that",
      "TASKS_ARGUMENTS: pauseAfter: the pipeline ends with finallyDo, and nothing comes after that",
      "TASKS_ARGUMENTS: continueWith: the pipeline ends with finallyDo, so that it can be submitted, or returned from a task, and be no part of another",
      "TASKS_ARGUMENTS: inParallel: entry 1 ends with finallyDo, so that it can be submitted, or returned from a task, and be no part of another",
      "TASKS_ARGUMENTS: fanOut: the template ends with finallyDo, so that it can be submitted, or returned from a task, and be no part of another",
      "TASKS_ARGUMENTS: fanOut: the template must be a task or a pipeline, not the function (anonymous): bind it first, tasks.bind(name, fn)",
      "TASKS_OPTIONS: fanOut: maxParallelism must be an integer of at least 1, not 0",
      "TASKS_OPTIONS: fanOut: ordered must be a boolean, not 1",
      "TASKS_ARGUMENTS: inParallel: entry 0 has initial parameters of its own, which would be ambiguous: give them to the whole pipeline",
      "TASKS_ARGUMENTS: continueWith: the pipeline has initial parameters of its own, which would be ambiguous: give them to the whole pipeline",
      "TASKS_ARGUMENTS: fanOut: the template is inline, which is for a pipeline that a task returns",
      "TASKS_ARGUMENTS: withInitial: nothing takes args: describe the first task by after(), not send()",
      "TASKS_ARGUMENTS: withInitial: nothing takes args: describe the first task by after(), not send()",
      "TASKS_ARGUMENTS: withInitial: args must be an array, not string",
      "TASKS_ARGUMENTS: withInitial: state must be a plain object, not an array",
      "TASKS_ARGUMENTS: withInitial: state must be a plain object, not object",
      "TASKS_ARGUMENTS: withInitial: state: the key must be a string of 1 to 256 characters, not ",
      "TASKS_OPTIONS: withInitial: there is no option "input"; known: args, state",
      "TASKS_ARGUMENTS: withInitial: { args, state } is needed, not undefined",
      "TASKS_UNENCODABLE: the initial state's "f" (as $): the value at $ is a function (f)",
      "TASKS_UNENCODABLE: the initial arguments (as $): the value at $[0] is a function",
      "TASKS_ARGUMENTS: sleep: milliseconds of at least 0 are needed, not -1",
      "TASKS_ARGUMENTS: sleep: milliseconds of at least 0 are needed, not 5",
      "TASKS_ARGUMENTS: sleep: milliseconds of at least 0 are needed, not Infinity",
      "TASKS_ARGUMENTS: sleepUntil: a Date or ms since the epoch are needed, not Invalid Date",
      "TASKS_ARGUMENTS: sleepUntil: a Date or ms since the epoch are needed, not null",
      "TASKS_ARGUMENTS: sleepUntil: a Date or ms since the epoch are needed, not 2026-01-01",
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
