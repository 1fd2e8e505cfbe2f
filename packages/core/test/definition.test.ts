import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  childChain,
  isEach,
  isGroup,
  isTask,
  type ArgsData,
  type Chain,
  type Parallel,
  type TaskEntry,
} from '../src/definition'
import { encodeDefinition, type EncodedDefinition, type EncodeOptions } from '../src/definition-encoder'
import { parseDefinition, parsePage } from '../src/definition-parser'
import type { Codec } from '../src/codec'
import { jsonCodec } from '../src/json-codec'
import { fanOut, inParallel, sleep, sleepUntil, type Pipeline, type Submittable } from '../src/pipeline'
import {
  entriesOf,
  isEachUse,
  isGroupUse,
  isPlan,
  isTaskUse,
  type ParallelOptions,
  type Plan,
  type TaskUse,
} from '../src/plan'
import { createTasks } from '../src/tasks'

const tasks = createTasks({ namespace: 'test' })
const a = tasks.bind('a', (...xs: unknown[]) => xs.length)
const b = tasks.bind('b', (...xs: unknown[]) => xs.length, { queue: 'q', retry: { maxRetries: 3 } })
const pure = tasks.bind('pure', (x: unknown) => x, { checkpoint: false })
const codec = jsonCodec()

/** The same bytes turned round, so that they are not text. */
const binaryCodec: Codec = {
  name: 'binary',
  text: false,
  encode: (value) => codec.encode(value).map((byte) => 255 - byte),
  decode: (bytes) => codec.decode(bytes.map((byte) => 255 - byte)),
}

type AnyPipeline = Pipeline<unknown, never>
type AnyWork = Submittable<unknown, never>

function encode(pipeline: AnyWork, options: Partial<EncodeOptions> = {}): EncodedDefinition {
  let blobs = 0
  const random = String(Math.random())
  return encodeDefinition(pipeline, {
    codec,
    inlineBytes: 1000,
    pageBytes: 65_536,
    blobName: () => `${random}"${blobs++}`,
    ...options,
  })
}

const document = (encoded: EncodedDefinition): unknown => JSON.parse(String(encoded.pages[0]))
const parse = (definition: unknown): unknown => parseDefinition(Buffer.from(JSON.stringify(definition)))

/** What a pipeline says, as plain data. */
function said(plan: Plan): unknown[] {
  return entriesOf(plan).map((use) => {
    if (isTaskUse(use)) return saidTask(use)
    if (isGroupUse(use)) return { chains: use.chains.map(said), parallel: saidParallel(use) }
    return isEachUse(use) ? { each: said(use.each), parallel: saidParallel(use) } : use
  })
}

const saidTask = ({ task, open, catches, args, overrides }: TaskUse): unknown => ({
  step: { task: task.name, ...task.step, ...overrides },
  takes: catches ? 'error' : open ? 'result' : 'nothing',
  args,
})

const saidParallel = ({ returnExceptions, maxParallelism, unordered, pauseAfter }: ParallelOptions): unknown => ({
  returnExceptions,
  maxParallelism,
  unordered: unordered === true,
  pauseAfter: pauseAfter === true,
})

/** What is said of the whole. No arguments are none. */
function saidWhole({ whole }: Plan): unknown {
  const { input, state, inline, finally: last } = whole ?? {}
  return {
    input: input === undefined || input.length === 0 ? undefined : input,
    state,
    inline,
    finally: last && saidTask(last),
  }
}

/** What its definition says, read as an owner and a worker do. */
function understood(encoded: EncodedDefinition, by: Codec = codec): unknown[] {
  return understoodAll(encoded, by).chain
}

function understoodAll({ pages, blobs }: EncodedDefinition, by: Codec): { chain: unknown[]; whole: unknown } {
  const definition = parseDefinition(pages[0]!)
  const parsed = new Map<number, readonly Chain[]>()
  const page = (number: number): readonly Chain[] => {
    const chains = parsed.get(number) ?? parsePage(pages[number]!, definition, number)
    parsed.set(number, chains)
    return chains
  }
  const read = (data: ArgsData): unknown => {
    if (typeof data === 'string') return by.decode(Buffer.from(data))
    if ('b64' in data) return by.decode(Buffer.from(data.b64, 'base64'))
    return by.decode(blobs.find(({ name }) => name === data.ref[0])!.bytes)
  }
  const task = ([index, args]: TaskEntry): unknown => {
    const { open, catch: catches, pauseAfter, checkpoint, ...step } = definition.steps[index]!
    return {
      step: {
        ...step,
        ...(pauseAfter === 1 && { pauseAfter: true }),
        ...(checkpoint === 0 && { checkpoint: false }),
      },
      takes: catches === 1 ? 'error' : open === 1 ? 'result' : 'nothing',
      args: args === undefined ? [] : read(args),
    }
  }
  const parallel = ({ returnExceptions, maxParallelism, unordered, pauseAfter }: Parallel): unknown => ({
    returnExceptions: returnExceptions === 1,
    maxParallelism,
    unordered: unordered === 1,
    pauseAfter: pauseAfter === 1,
  })
  const chainOf = (chain: Chain): unknown[] =>
    chain.map((entry) => {
      if (isTask(entry)) return task(entry)
      if (isEach(entry)) return { each: chainOf(entry.each), parallel: parallel(entry) }
      if (!isGroup(entry)) return entry.pauseAfter === 1 ? { ...entry, pauseAfter: true } : entry
      const chains = Array.from({ length: entry.group }, (_, i) => chainOf(childChain(entry, i, page)))
      return { chains, parallel: parallel(entry) }
    })
  const { chain, input, state, inline, finally: last } = definition
  return {
    chain: chainOf(chain),
    whole: {
      input: input && read(input),
      state: state && Object.fromEntries(Object.entries(state).map(([key, data]) => [key, read(data)])),
      inline: inline === 1 ? true : undefined,
      finally: last && task(last),
    },
  }
}

const planOf = (pipeline: AnyWork): Plan => {
  if (!isPlan(pipeline)) throw new Error('not a pipeline')
  return pipeline
}

// Random pipelines: some arguments are large, some groups have many chains.
const args = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.array(fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.constant({ $t: 1 })), {
      maxLength: 3,
    }),
  },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 2000 }).map((n) => ['é'.repeat(n)]) },
)
const parallel = fc.record(
  {
    returnExceptions: fc.boolean(),
    maxParallelism: fc.integer({ min: 1, max: 9 }),
    ordered: fc.boolean(),
  },
  { requiredKeys: [] },
)
const sleeping = fc.oneof(
  fc.nat().map((ms) => sleep(ms)),
  fc.nat().map((ms) => sleepUntil(new Date(ms))),
)
const { pipeline: randomPipeline } = fc.letrec<{
  use: AnyPipeline
  group: AnyPipeline
  each: AnyPipeline
  entry: AnyPipeline
  pipeline: AnyPipeline
}>((tie) => ({
  use: fc
    .tuple(
      fc.constantFrom(a, b, pure),
      fc.boolean(),
      args,
      fc.option(fc.constantFrom({ priority: 2 }, { timeoutMs: 5 }, { retry: { maxRetries: 9 } })),
    )
    .map(([task, open, own, set]) => {
      const loose = task as typeof a
      const entry: AnyPipeline = open ? loose.after(...own) : loose.send(...own)
      return set === null ? entry : entry.set(set)
    }),
  group: fc
    .tuple(fc.array(tie('pipeline'), { maxLength: 4 }), fc.constantFrom(1, 1, 1, 20), parallel)
    .map(([chains, times, options]) => {
      const tasks = chains.reduce((sum, chain) => sum + planOf(chain).tasks, 0)
      const repeated = Array.from({ length: tasks < 8 ? times : 1 }, () => chains).flat()
      return inParallel(repeated, options)
    }),
  each: fc.tuple(tie('pipeline'), parallel).map(([template, options]) => fanOut(template, options)),
  entry: fc.oneof({ depthSize: 'small', withCrossShrink: true }, tie('use'), sleeping, tie('group'), tie('each')),
  pipeline: fc
    .array(fc.tuple(tie('entry'), fc.constantFrom('nothing', 'nothing', 'nothing', 'pause', 'handler')), {
      minLength: 1,
      maxLength: 4,
    })
    .map((parts) =>
      parts.slice(1).reduce<AnyPipeline>((chain, [next, then]) => {
        const continued = (chain as Pipeline).continueWith(next as Pipeline)
        if (then === 'nothing') return continued
        return then === 'pause' ? continued.pauseAfter() : continued.exceptionally(a, 'sorry')
      }, parts[0]![0]),
    ),
}))

const anyPart = randomPipeline.filter((pipeline) => planOf(pipeline).tasks < 150)

/** Keys that a state may have. */
const stateKey = fc.string({ minLength: 1 }).filter((key) => key !== '__proto__')

/** With what is said of a whole pipeline. */
const anyPipeline = fc
  .tuple(
    anyPart,
    fc.option(args, { freq: 2 }),
    fc.option(fc.dictionary(stateKey, fc.string()), { freq: 2 }),
    fc.constantFrom('nothing', 'nothing', 'inline', 'finally', 'finally, with more'),
  )
  .map(([part, input, state, last]) => {
    // An open entry first, if there is something to take.
    const chain = (input === null ? part : a.after().continueWith(part as Pipeline)) as Pipeline
    let work: Submittable = chain
    if (last === 'finally') work = chain.finallyDo(b)
    if (last === 'finally, with more') work = chain.finallyDo(b, 'x'.repeat(500)).set({ priority: 1 })
    if (last === 'inline') work = work.inline()
    if (input === null && state === null) return work
    return work.withInitial({
      ...(input === null ? {} : { args: input }),
      ...(state === null ? {} : { state }),
    })
  })

describe('a definition', () => {
  test('says what its pipeline says, however it is cut', () => {
    fc.assert(
      fc.property(
        anyPipeline,
        fc.constantFrom(0, 20, 1000, Infinity),
        fc.constantFrom(4096, 65_536, Number.MAX_SAFE_INTEGER),
        fc.constantFrom(codec, binaryCodec),
        (pipeline, inlineBytes, pageBytes, by) => {
          const encoded = encode(pipeline, { inlineBytes, pageBytes, codec: by })
          const plan = planOf(pipeline)
          const { chain, whole } = understoodAll(encoded, by)
          expect(chain).toEqual(said(plan))
          expect(whole).toEqual(saidWhole(plan))
          expect(encoded.taskCount).toBe(plan.tasks + (plan.whole?.finally === undefined ? 0 : 1))
          for (const [number, page] of encoded.pages.entries())
            expect(page.length).toBeLessThanOrEqual(number === 0 ? pageBytes * 8 : pageBytes)
          for (const { bytes } of encoded.blobs) expect(bytes.length).toBeGreaterThan(Math.min(inlineBytes, 128))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('has one hash, however it is cut and whatever its blobs are called', () => {
    fc.assert(
      fc.property(anyPipeline, (pipeline) => {
        const { hash } = encode(pipeline)
        expect(hash).toMatch(/^[0-9a-f]{32}$/)
        expect(encode(pipeline).hash).toBe(hash)
        expect(encode(pipeline, { inlineBytes: 0 }).hash).toBe(hash)
        expect(encode(pipeline, { pageBytes: 4096, inlineBytes: 50 }).hash).toBe(hash)
      }),
    )
  })

  test('has another hash if anything else is said', () => {
    fc.assert(
      fc.property(anyPipeline, anyPipeline, (one, other) => {
        const text = (work: AnyWork): string => JSON.stringify([said(planOf(work)), saidWhole(planOf(work))])
        const same = text(one) === text(other)
        expect(encode(one).hash === encode(other).hash).toBe(same)
      }),
    )
    const hashes = [
      a.send(),
      a.after(),
      a.send().set({ queue: 'x' }),
      b.send(),
      a.send(1),
      a.send('1'),
      a.send(1, 2),
      a.send(1).continueWith(a),
      inParallel([a.send(1)]),
      inParallel([a.send(1)], { returnExceptions: true }),
      inParallel([a.send(1)], { maxParallelism: 1 }),
      inParallel([a.send(1), a.send(1)]),
      inParallel([a.send(1).continueWith(a.send(1))]),
      inParallel([inParallel([a.send(1)])]),
      inParallel([]),
      inParallel([inParallel([])]),
      inParallel([a.send(1)], { ordered: false }),
      inParallel([a.send(1)]).pauseAfter(),
      a.send().pauseAfter(),
      a.send().set({ taskId: 'x' }),
      a.send(1).exceptionally(a),
      a.send(1).finallyDo(a),
      a.send(1).finallyDo(a, 2),
      a.send(1).inline(),
      a.send(1).withInitial({ state: {} }),
      a.send(1).withInitial({ state: { n: 1 } }),
      a.send(1).inline().withInitial({ state: {} }),
      a.after().withInitial({ args: [1] }),
      fanOut(a.send(1)),
      fanOut(a.send(1), { ordered: false }),
      fanOut(a.send(1), { maxParallelism: 1 }),
      fanOut(a.send(1)).pauseAfter(),
      fanOut(fanOut(a.send(1))),
      sleep(1),
      sleepUntil(1),
      sleep(1).pauseAfter(),
      sleep(1).continueWith(a.send(1)),
    ].map((pipeline) => encode(pipeline).hash)
    expect(new Set(hashes).size).toBe(hashes.length)
  })

  // Wire format: stored pipelines are compared by it.
  test('has this hash', () => {
    expect(encode(a.send('x').continueWith(inParallel([b, a.after(1)]))).hash).toMatchInlineSnapshot(
      `"9f9081fdef6a271c1188ca657ed546d6"`,
    )
  })

  test('names each step once, though it was set twice', () => {
    const pipeline = inParallel(
      Array.from({ length: 100 }, (_, i) => a.send(i).set({ timeoutMs: 5, retry: { maxRetries: 1 } })),
    )
    expect(document(encode(pipeline))).toHaveProperty('steps.length', 1)
  })

  test('may be read by people', () => {
    expect(document(encode(a.send('x').continueWith(inParallel([b, b.send()], { returnExceptions: true }))))).toEqual({
      v: 1,
      steps: [
        { task: 'a' },
        {
          task: 'b',
          open: 1,
          queue: 'q',
          retry: { maxRetries: 3, delayMs: 1000, factor: 2, maxDelayMs: 60_000, jitter: 'full' },
        },
        {
          task: 'b',
          queue: 'q',
          retry: { maxRetries: 3, delayMs: 1000, factor: 2, maxDelayMs: 60_000, jitter: 'full' },
        },
      ],
      chain: [[0, '["x"]'], { group: 2, chains: [[[1]], [[2]]], returnExceptions: 1 }],
    })
  })
})

describe('large parts', () => {
  test('arguments become blobs, with length and checksum', () => {
    const encoded = encode(a.send('x'.repeat(2000)), { blobName: () => 'blob1' })
    expect(document(encoded)).toMatchObject({ chain: [[0, { ref: ['blob1', 2004, expect.any(Number)] }]] })
    expect(encoded.blobs.map(({ name, bytes }) => [name, bytes.length])).toEqual([['blob1', 2004]])
  })

  test('groups go to pages that are as full as they may be', () => {
    const { pages } = encode(inParallel(Array.from({ length: 10_000 }, (_, i) => a.send(i))), { pageBytes: 4096 })
    expect(pages.length).toBeGreaterThan(20)
    expect(pages[0]!.length).toBeLessThan(4096)
    for (const page of pages.slice(1, -1)) expect(page.length).toBeGreaterThan(4000)
  })

  test('lists of pages go to pages', () => {
    const pipeline = inParallel(Array.from({ length: 100_000 }, (_, i) => a.send(i, 'some words that make it long')))
    const encoded = encode(pipeline, { pageBytes: 2048 })
    expect(document(encoded)).toHaveProperty('chain.0.index')
    expect(encoded.pages.length).toBeGreaterThan(2000)
    expect(understood(encoded)).toEqual(said(planOf(pipeline)))
  })

  test('arguments leave a chain that is too large for its page', () => {
    const chain = (n: number): Pipeline =>
      Array.from({ length: n - 1 }).reduce<Pipeline>((p) => p.continueWith(a.send('y'.repeat(900))), a.send('x'))
    const pipeline = inParallel([chain(20), a.send('z'.repeat(900)), inParallel([chain(20)])])
    const encoded = encode(pipeline, { pageBytes: 4096 })
    expect(encoded.blobs).toHaveLength(38)
    expect(understood(encoded)).toEqual(said(planOf(pipeline)))
    expect(() => encode(inParallel([chain(2000)]), { pageBytes: 4096 })).toThrow(
      /has a chain of 2000 entries that takes \d+ bytes in a page; at most 4094 are allowed/,
    )
  })

  test('arguments of a template, of a finally and of the beginning leave a page that is too small', () => {
    const large = 'x'.repeat(3000)
    const template = Array.from({ length: 20 }).reduce<Pipeline>((p) => p.continueWith(a.send(large)), a.send())
    const pipeline = fanOut(template)
      .withInitial({ args: [[large]], state: { large } })
      .finallyDo(a, large)
    const encoded = encode(pipeline, { pageBytes: 4096, inlineBytes: 10_000 })
    // Values of a state stay in place.
    expect(encoded.blobs).toHaveLength(22)
    expect(understoodAll(encoded, codec)).toEqual({ chain: said(planOf(pipeline)), whole: saidWhole(planOf(pipeline)) })
  })

  test('250,000 chains are encoded and read in good time', () => {
    const pipeline = inParallel(Array.from({ length: 250_000 }, (_, i) => a.send(i).continueWith(b)))
    const encoded = encode(pipeline, { pageBytes: 32_768 })
    const definition = parseDefinition(encoded.pages[0]!)
    let chains = 0
    for (let n = 1; n < encoded.pages.length; n++) chains += parsePage(encoded.pages[n]!, definition, n).length
    expect(chains).toBe(250_000)
  })
})

describe('a pipeline is refused before anything is stored:', () => {
  const tooLarge = (message: RegExp): unknown =>
    expect.objectContaining({ code: 'TASKS_DEFINITION_TOO_LARGE', message: expect.stringMatching(message) })

  test('too deep', () => {
    const nested = (depth: number): AnyPipeline => (depth === 0 ? a.send() : inParallel([nested(depth - 1)]))
    expect(understood(encode(nested(64)))).toHaveLength(1)
    expect(() => encode(nested(65))).toThrow(tooLarge(/nests groups 65 deep; at most 64/))
    const fanned = (depth: number): AnyPipeline => (depth === 0 ? a.after() : fanOut(fanned(depth - 1)))
    expect(understood(encode(fanned(64)))).toHaveLength(1)
    expect(() => encode(inParallel([fanned(64)]))).toThrow(tooLarge(/nests groups 65 deep; at most 64/))
  })

  test('too many tasks', () => {
    const thousand = inParallel(Array.from({ length: 1000 }, () => a.send()))
    const million = inParallel(Array.from({ length: 1000 }, () => thousand))
    const many = tooLarge(/has 1000001 task entries; at most 1000000/)
    expect(() => encode(inParallel([million, a.send()]))).toThrow(many)
    expect(() => encode(fanOut(inParallel([million, sleep(1)])).finallyDo(a))).toThrow(many)
  })

  test('too many bytes', () => {
    const big = inParallel(Array.from({ length: 70_000 }, () => a.send('x'.repeat(1000))))
    expect(() => encode(big, { inlineBytes: 2000 })).toThrow(tooLarge(/takes more than 67108864 bytes/))
  })

  test('a first page that is too large', () => {
    const wide = Array.from({ length: 400 }, (_, i) => a.send().set({ displayName: `step ${i}` })).reduce<Pipeline>(
      (p, next) => p.continueWith(next),
      a.send(),
    )
    expect(() => encode(wide, { pageBytes: 1024 })).toThrow(tooLarge(/has a first page of \d+ bytes; at most 8192/))
  })

  test('a state that is too large', () => {
    const state = { large: 'x'.repeat(40_000) }
    expect(() => encode(a.send().withInitial({ state }), { pageBytes: 4096 })).toThrow(
      tooLarge(/begins with 400\d+ bytes of state and arguments; at most 32768/),
    )
  })

  test('an argument that has no form', () => {
    expect(() => encode(a.send(1).continueWith(b, { f: () => 1 }))).toThrow(
      expect.objectContaining({
        code: 'TASKS_UNENCODABLE',
        message: 'the arguments of task "b" (as $): the value at $[0].f is a function (f)',
        details: { path: '$[0].f' },
      }),
    )
  })

  test('a task id that is not unique', () => {
    const refused = (message: string): unknown =>
      expect.objectContaining({ code: 'TASKS_DEFINITION_INVALID', message: expect.stringContaining(message) })
    const one = a.send().set({ taskId: 'one' })
    expect(() => encode(inParallel([one, one]))).toThrow(
      refused('the task id "one" of task "a" is given to two entries; it must be unique in its pipeline'),
    )
    expect(() =>
      encode(
        one
          .continueWith(a.send().set({ taskId: 'two' }))
          .finallyDo(a)
          .set({ taskId: 'one' }),
      ),
    ).toThrow(refused('is given to two entries'))
    expect(() => encode(fanOut(inParallel([one])))).toThrow(refused('is given inside a fan-out'))
    // What is encoded a second time, because it did not fit, is not there twice.
    const large = Array.from({ length: 20 }).reduce<Pipeline>((p) => p.continueWith(a.send('y'.repeat(900))), one)
    expect(encode(inParallel([large]), { pageBytes: 4096 }).blobs.length).toBeGreaterThan(0)
  })

  test('something else', () => {
    expect(() => encode(a as never)).toThrow('a pipeline is needed here, like task.send(...), not the task "a"')
    expect(() => encode(a.send(), { pageBytes: 10 })).toThrow(/pageBytes must be at least 256/)
  })
})

describe('a definition is refused', () => {
  const steps = [{ task: 'a' }]
  const retry = { maxRetries: 1, delayMs: 1, factor: 2, maxDelayMs: 1, jitter: 'full' }
  const nested = (depth: number): unknown[] => (depth === 0 ? [[0]] : [{ group: 1, chains: [nested(depth - 1)] }])
  const eachIn = (depth: number): unknown[] => (depth === 0 ? [[0]] : [{ each: eachIn(depth - 1) }])
  const data = 'must be a string, { "b64" } or { "ref": [name, bytes, crc32] }'
  const more = [
    { task: 'a' },
    { task: 'a', open: 1 },
    { task: 'a', open: 1, catch: 1 },
    { task: 'a', pauseAfter: 1 },
    { task: 'a', taskId: 'one' },
  ]

  test.each([
    [[], '$: must be an object'],
    [{ v: 2, steps, chain: [[0]] }, '$.v: version 2 is not known; this program reads version 1'],
    [{ steps, chain: [[0]] }, '$.v: version undefined is not known; this program reads version 1'],
    [{ v: 1, steps, chain: [[0]], before: [0] }, '$: has the unknown key "before"'],
    [{ v: 1, steps, chain: [[0]], finally: [[0]] }, '$.finally[0]: must be the index of one of 1 steps, not [0]'],
    [
      { v: 1, steps, chain: [[0]], finally: { group: 0, chains: [] } },
      '$.finally: must be a task entry, not {"group":0,"chains":[]}',
    ],
    [{ v: 1, steps: more, chain: [[0]], finally: [1] }, '$.finally: takes an upstream value, and there is none'],
    [
      { v: 1, steps: more, chain: [[0]], finally: [2] },
      '$.finally: handles the errors of entries before it, and is the first',
    ],
    [{ v: 1, steps: more, chain: [[0]], finally: [3] }, '$.finally: has nothing after it to pause before'],
    [{ v: 1, steps: more, chain: [[4]], finally: [4] }, '$.finally: has the task id "one" of an entry before it'],
    [{ v: 1, steps, chain: [[0]], input: ['x'] }, `$.input: ${data}`],
    [{ v: 1, steps, chain: [[0]], state: [] }, '$.state: must be an object'],
    [{ v: 1, steps, chain: [[0]], state: { a: 1 } }, `$.state["a"]: ${data}`],
    [{ v: 1, steps, chain: [[0]], inline: true }, '$.inline: must be 1'],
    [
      { v: 1, steps: [{ task: 'a', catch: 1 }], chain: [[0]] },
      '$.steps[0].catch: needs "open": the error is its first argument',
    ],
    [{ v: 1, steps: [{ task: 'a', catch: true, open: 1 }], chain: [[0]] }, '$.steps[0].catch: must be 1, not true'],
    [{ v: 1, steps: [{ task: 'a', pauseAfter: 0 }], chain: [[0]] }, '$.steps[0].pauseAfter: must be 1, not 0'],
    [{ v: 1, steps: [{ task: 'a', checkpoint: 1 }], chain: [[0]] }, '$.steps[0].checkpoint: must be 0, not 1'],
    [{ v: 1, steps: [{ task: 'a', taskId: '' }], chain: [[0]] }, '$.steps[0].taskId: task id "" must not be empty'],
    [{ v: 1, steps: more, chain: [[2]] }, '$.chain[0]: handles the errors of entries before it, and is the first'],
    [
      { v: 1, steps: more, chain: [{ group: 1, chains: [[[2]]] }] },
      '$.chain[0].chains[0][0]: handles the errors of entries before it, and is the first',
    ],
    [
      { v: 1, steps: more, chain: [{ each: [[2]] }] },
      '$.chain[0].each[0]: handles the errors of entries before it, and is the first',
    ],
    [{ v: 1, steps: more, chain: [[4], [4]] }, '$.chain[1]: has the task id "one" of an entry before it'],
    [
      { v: 1, steps: more, chain: [{ each: [{ group: 1, chains: [[[4]]] }] }] },
      '$.chain[0].each[0].chains[0][0]: has the task id "one" inside a fan-out',
    ],
    [{ v: 1, steps, chain: [{ each: [] }] }, '$.chain[0].each: has no entries'],
    [{ v: 1, steps, chain: [{ each: [[0]], group: 1 }] }, '$.chain[0]: has the unknown key "each"'],
    [{ v: 1, steps, chain: [{ each: [[0]], ordered: 1 }] }, '$.chain[0]: has the unknown key "ordered"'],
    [{ v: 1, steps, chain: [{ each: [[0]], unordered: true }] }, '$.chain[0].unordered: must be 1'],
    [{ v: 1, steps, chain: [{ group: 0, chains: [], pauseAfter: 0 }] }, '$.chain[0].pauseAfter: must be 1'],
    [{ v: 1, steps, chain: [{ sleep: 1, sleepUntil: 1 }] }, '$.chain[0]: has the unknown key "sleepUntil"'],
    [
      { v: 1, steps, chain: [{ sleep: -1 }] },
      '$.chain[0].sleep: must be an integer from 0 to 8640000000000000, not -1',
    ],
    [
      { v: 1, steps, chain: [{ sleepUntil: 1.5 }] },
      '$.chain[0].sleepUntil: must be an integer from 0 to 8640000000000000, not 1.5',
    ],
    [{ v: 1, steps, chain: [{ sleep: 1, pauseAfter: true }] }, '$.chain[0].pauseAfter: must be 1'],
    [{ v: 1, steps, chain: eachIn(65) }, `$.chain${'[0].each'.repeat(64)}[0]: is nested more than 64 groups deep`],
    [{ v: 1, steps: {}, chain: [[0]] }, '$.steps: must be an array'],
    [{ v: 1, steps: [null], chain: [[0]] }, '$.steps[0]: must be an object'],
    [{ v: 1, steps: [{}], chain: [[0]] }, '$.steps[0].task: task name undefined must be a string'],
    [{ v: 1, steps: [{ task: 'a', open: true }], chain: [[0]] }, '$.steps[0].open: must be 1, not true'],
    [
      { v: 1, steps: [{ task: 'a', queue: '' }], chain: [[0]] },
      '$.steps[0].queue: queue "" must have 1 to 128 letters, digits, ".", "_", ":" or "-", and begin with a letter or digit',
    ],
    [
      { v: 1, steps: [{ task: 'a', timeoutMs: 0 }], chain: [[0]] },
      '$.steps[0].timeoutMs: must be a number above 0, not 0',
    ],
    [
      { v: 1, steps: [{ task: 'a', priority: -1 }], chain: [[0]] },
      '$.steps[0].priority: must be an integer of at least 0, not -1',
    ],
    [{ v: 1, steps: [{ task: 'a', displayName: 7 }], chain: [[0]] }, '$.steps[0].displayName: must be a string'],
    [
      { v: 1, steps: [{ task: 'a', retry: { maxRetries: 1 } }], chain: [[0]] },
      '$.steps[0].retry: delayMs must be given',
    ],
    [
      { v: 1, steps: [{ task: 'a', retry: { ...retry, factor: 0 } }], chain: [[0]] },
      '$.steps[0].retry: retry.factor must be a finite number of at least 1, not 0',
    ],
    [
      { v: 1, steps: [{ task: 'a', retry: { ...retry, budget: 1 } }], chain: [[0]] },
      '$.steps[0].retry: has the unknown key "budget"',
    ],
    [{ v: 1, steps: [{ task: 'a', onFailure: 1 }], chain: [[0]] }, '$.steps[0]: has the unknown key "onFailure"'],
    [{ v: 1, steps, chain: [] }, '$.chain: has no entries'],
    [{ v: 1, steps, chain: {} }, '$.chain: must be an array of entries'],
    [
      { v: 1, steps, chain: Array.from({ length: 10_001 }, () => [0]) },
      '$.chain: has 10001 entries; at most 10000 are allowed',
    ],
    [{ v: 1, steps, chain: [[0], [1]] }, '$.chain[1][0]: must be the index of one of 1 steps, not 1'],
    [{ v: 1, steps, chain: [[]] }, '$.chain[0][0]: must be the index of one of 1 steps, not undefined'],
    [{ v: 1, steps, chain: [[0, '[]', 1]] }, '$.chain[0]: has 3 elements; a task entry has one or two'],
    [{ v: 1, steps, chain: [[0, 7]] }, '$.chain[0][1]: must be a string, { "b64" } or { "ref": [name, bytes, crc32] }'],
    [
      { v: 1, steps, chain: [[0, { ref: ['x', -1, 2] }]] },
      '$.chain[0][1]: must be a string, { "b64" } or { "ref": [name, bytes, crc32] }',
    ],
    [
      { v: 1, steps, chain: [[0, { b64: '', ref: [] }]] },
      '$.chain[0][1]: must be a string, { "b64" } or { "ref": [name, bytes, crc32] }',
    ],
    [{ v: 1, steps, chain: ['a'] }, '$.chain[0]: must be an entry, not "a"'],
    [{ v: 1, steps, chain: [[0], { wait: 'approval' }] }, '$.chain[1]: is an entry of unknown kind: "wait"'],
    [
      { v: 1, steps, chain: [{ group: 1, chains: [[[0]], [[0]]] }] },
      '$.chain[0].chains: has 2 chains; the group says 1',
    ],
    [
      { v: 1, steps, chain: [{ group: 1, chains: [[[0], { group: 1, chains: [[[4]]] }]] }] },
      '$.chain[0].chains[0][1].chains[0][0][0]: must be the index of one of 1 steps, not 4',
    ],
    [{ v: 1, steps, chain: [{ group: 1, chains: [[]] }] }, '$.chain[0].chains[0]: has no entries'],
    [{ v: 1, steps, chain: [{ group: 1 }] }, '$.chain[0]: must have one of chains, pages and index'],
    [{ v: 1, steps, chain: [{ group: 0, chains: [], ordered: 0 }] }, '$.chain[0]: has the unknown key "ordered"'],
    [
      { v: 1, steps, chain: [{ group: 0, chains: [], maxParallelism: 0 }] },
      '$.chain[0].maxParallelism: must be an integer of at least 1, not 0',
    ],
    [
      {
        v: 1,
        steps,
        chain: [
          {
            group: 2,
            pages: [
              [1, 0],
              [2, 0],
            ],
          },
        ],
      },
      '$.chain[0].pages[1]: is not a page of this group: [2,0]',
    ],
    [
      { v: 1, steps, chain: [{ group: 2, pages: [[0, 0]] }] },
      '$.chain[0].pages[0]: is not a page of this group: [0,0]',
    ],
    [
      { v: 1, steps, chain: [{ group: 2, index: [[1, 1]] }] },
      '$.chain[0].index[0]: is not a page of this group: [1,1]',
    ],
    [{ v: 1, steps, chain: nested(65) }, `$.chain${'[0].chains[0]'.repeat(64)}[0]: is nested more than 64 groups deep`],
  ])('%#: %j', (definition, message) => {
    expect(() => parse(definition)).toThrow(
      expect.objectContaining({ code: 'TASKS_DEFINITION_INVALID', message: `the definition is invalid at ${message}` }),
    )
  })

  test('if it is not JSON', () => {
    for (const text of ['', '{', '['.repeat(1_000_000)]) {
      expect(() => parseDefinition(Buffer.from(text))).toThrow(
        expect.objectContaining({ code: 'TASKS_DEFINITION_INVALID' }),
      )
    }
  })

  test('if a page contains itself', () => {
    const definition = parseDefinition(
      Buffer.from(JSON.stringify({ v: 1, steps, chain: [{ group: 2, pages: [[1, 0]] }] })),
    )
    const page = Buffer.from(JSON.stringify([[{ group: 1, pages: [[1, 0]] }], [[0]]]))
    expect(() => parsePage(page, definition, 1)).toThrow(
      'the definition is invalid at $[0][0].pages[0]: is not a page of this group: [1,0]',
    )
    const index = Buffer.from(JSON.stringify([[{ group: 1, index: [[1, 0]] }]]))
    expect(() => childChain({ group: 1, index: [[1, 0]] }, 0, () => parsePage(index, definition))).toThrow(
      /has no chain 0/,
    )
  })

  test('whatever is wrong with it, by a typed error', () => {
    const valid = JSON.stringify({
      v: 1,
      steps: [{ task: 'a', retry }],
      chain: [
        [0, 'x'],
        { group: 2, chains: [[[0]], [[0, { ref: ['n', 1, 2] }]]] },
        { each: [{ sleep: 5 }, { sleepUntil: 6, pauseAfter: 1 }], unordered: 1 },
      ],
      input: '[1]',
      state: { b64: 'e30=' },
      inline: 1,
      finally: [0, '[]'],
    })
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.constantFrom('"', '0', '[', '}', ',', 'x', ''), (at, character) => {
        const text = valid.slice(0, at) + character + valid.slice(at + 1)
        let code: unknown = 'TASKS_DEFINITION_INVALID'
        try {
          parseDefinition(Buffer.from(text))
        } catch (error) {
          ;({ code } = error as { code?: unknown })
        }
        expect(code).toBe('TASKS_DEFINITION_INVALID')
      }),
      { numRuns: 1000 },
    )
  })
})

test('a chain that is not there is an error', () => {
  expect(() => childChain({ group: 1, chains: [[[0]]] }, 1, () => [])).toThrow('a group of 1 chains has no chain 1')
  expect(() => childChain({ group: 5, pages: [[1, 0]] }, 3, () => [])).toThrow('a group of 5 chains has no chain 3')
})
