import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  childChain,
  encodeDefinition,
  isGroup,
  parseDefinition,
  parsePage,
  type ArgsData,
  type Chain,
  type EncodedDefinition,
  type EncodeOptions,
} from '../src/definition'
import type { Codec } from '../src/codec'
import { jsonCodec } from '../src/json-codec'
import { inParallel, type Pipeline } from '../src/pipeline'
import { entriesOf, isGroupUse, isPlan, type Plan } from '../src/plan'
import { createTasks } from '../src/tasks'

const tasks = createTasks({ namespace: 'test' })
const a = tasks.bind('a', (...xs: unknown[]) => xs.length)
const b = tasks.bind('b', (...xs: unknown[]) => xs.length, { queue: 'q', retry: { maxRetries: 3 } })
const codec = jsonCodec()

/** The same bytes turned round, so that they are not text. */
const binaryCodec: Codec = {
  name: 'binary',
  text: false,
  encode: (value) => codec.encode(value).map((byte) => 255 - byte),
  decode: (bytes) => codec.decode(bytes.map((byte) => 255 - byte)),
}

type AnyPipeline = Pipeline<unknown, never>

function encode(pipeline: AnyPipeline, options: Partial<EncodeOptions> = {}): EncodedDefinition {
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
  return entriesOf(plan).map((use) =>
    isGroupUse(use)
      ? { chains: use.chains.map(said), returnExceptions: use.returnExceptions, maxParallelism: use.maxParallelism }
      : { step: { task: use.task.name, ...use.task.step, ...use.overrides }, open: use.open, args: use.args },
  )
}

/** What its definition says, read as an owner and a worker do. */
function understood({ pages, blobs }: EncodedDefinition, by: Codec = codec): unknown[] {
  const definition = parseDefinition(pages[0]!)
  const parsed = new Map<number, readonly Chain[]>()
  const page = (number: number): readonly Chain[] => {
    const chains = parsed.get(number) ?? parsePage(pages[number]!, definition, number)
    parsed.set(number, chains)
    return chains
  }
  const args = (data: ArgsData | undefined): unknown => {
    if (data === undefined) return []
    if (typeof data === 'string') return by.decode(Buffer.from(data))
    if ('b64' in data) return by.decode(Buffer.from(data.b64, 'base64'))
    return by.decode(blobs.find(({ name }) => name === data.ref[0])!.bytes)
  }
  const read = (chain: Chain): unknown[] =>
    chain.map((entry) => {
      if (isGroup(entry)) {
        return {
          chains: Array.from({ length: entry.group }, (_, i) => read(childChain(entry, i, page))),
          returnExceptions: entry.returnExceptions === 1,
          maxParallelism: entry.maxParallelism,
        }
      }
      const { open, ...step } = definition.steps[entry[0]]!
      return { step, open: open === 1, args: args(entry[1]) }
    })
  return read(definition.chain)
}

const planOf = (pipeline: AnyPipeline): Plan => {
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
const { pipeline: randomPipeline } = fc.letrec<{
  use: AnyPipeline
  group: AnyPipeline
  entry: AnyPipeline
  pipeline: AnyPipeline
}>((tie) => ({
  use: fc
    .tuple(
      fc.constantFrom(a, b),
      fc.boolean(),
      args,
      fc.option(fc.constantFrom({ priority: 2 }, { timeoutMs: 5 }, { retry: { maxRetries: 9 } })),
    )
    .map(([task, open, own, set]) => {
      const entry: AnyPipeline = open ? task.after(...own) : task.send(...own)
      return set === null ? entry : entry.set(set)
    }),
  group: fc
    .tuple(
      fc.array(tie('pipeline'), { maxLength: 4 }),
      fc.constantFrom(1, 1, 1, 20),
      fc.record({ returnExceptions: fc.boolean() }),
      fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    )
    .map(([chains, times, options, most]) => {
      const tasks = chains.reduce((sum, chain) => sum + planOf(chain).tasks, 0)
      const repeated = Array.from({ length: tasks < 8 ? times : 1 }, () => chains).flat()
      return inParallel(repeated, { ...options, ...(most === undefined ? {} : { maxParallelism: most }) })
    }),
  entry: fc.oneof({ depthSize: 'small', withCrossShrink: true }, tie('use'), tie('group')),
  pipeline: fc
    .array(tie('entry'), { minLength: 1, maxLength: 4 })
    .map((entries) =>
      entries
        .slice(1)
        .reduce<AnyPipeline>((chain, next) => (chain as Pipeline).continueWith(next as Pipeline), entries[0]!),
    ),
}))

const anyPipeline = randomPipeline.filter((pipeline) => planOf(pipeline).tasks < 150)

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
          expect(understood(encoded, by)).toEqual(said(planOf(pipeline)))
          expect(encoded.taskCount).toBe(planOf(pipeline).tasks)
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
        const same = JSON.stringify(said(planOf(one))) === JSON.stringify(said(planOf(other)))
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
  })

  test('too many tasks', () => {
    const thousand = inParallel(Array.from({ length: 1000 }, () => a.send()))
    const million = inParallel(Array.from({ length: 1000 }, () => thousand))
    expect(() => encode(inParallel([million, a.send()]))).toThrow(tooLarge(/has 1000001 task entries; at most 1000000/))
  })

  test('too many bytes', () => {
    const big = inParallel(Array.from({ length: 70_000 }, () => a.send('x'.repeat(1000))))
    expect(() => encode(big, { inlineBytes: 2000 })).toThrow(tooLarge(/takes more than 67108864 bytes/))
  })

  test('a first page that is too large', () => {
    const wide = Array.from({ length: 400 }, (_, i) => a.send().set({ displayName: `step ${i}` })).reduce((p, next) =>
      p.continueWith(next),
    )
    expect(() => encode(wide, { pageBytes: 1024 })).toThrow(tooLarge(/has a first page of \d+ bytes; at most 8192/))
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

  test('something else', () => {
    expect(() => encode(a as never)).toThrow('a pipeline is needed here, like task.send(...), not the function a')
    expect(() => encode(a.send(), { pageBytes: 10 })).toThrow(/pageBytes must be at least 256/)
  })
})

describe('a definition is refused', () => {
  const steps = [{ task: 'a' }]
  const retry = { maxRetries: 1, delayMs: 1, factor: 2, maxDelayMs: 1, jitter: 'full' }
  const nested = (depth: number): unknown[] => (depth === 0 ? [[0]] : [{ group: 1, chains: [nested(depth - 1)] }])

  test.each([
    [[], '$: must be an object'],
    [{ v: 2, steps, chain: [[0]] }, '$.v: version 2 is not known; this program reads version 1'],
    [{ steps, chain: [[0]] }, '$.v: version undefined is not known; this program reads version 1'],
    [{ v: 1, steps, chain: [[0]], finally: [[0]] }, '$: has the unknown key "finally"'],
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
      chain: [[0, 'x'], { group: 2, chains: [[[0]], [[0, { ref: ['n', 1, 2] }]]] }],
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
