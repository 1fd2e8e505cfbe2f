// What version 1 stores and sends, held against bytes that were recorded once: fixtures/version-1.json has them, a character a byte, by the names of the samples
// here. Each is read as its sample, and the sample is written as these bytes. Nothing of that file is ever changed: another form is another version, and
// reads this one, too. For what is new the test shows the line to add.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { decodeFailure, decodeValue } from '../src/decoding'
import { encodeDefinition } from '../src/definition-encoder'
import { parseDefinition, parsePage } from '../src/definition-parser'
import { BoxKeys, pipelineKey, RunKeys, TALLY, windowKey } from '../src/engine/row-keys'
import { decodeRow, encodeRow } from '../src/engine/row-codec'
import {
  firstStep,
  newChunk,
  setBit,
  type JobRow,
  type Phase,
  type PipelineRow,
  type Row,
  type TimerRow,
} from '../src/engine/rows'
import { jsonCodec } from '../src/json-codec'
import { Plan } from '../src/plan'
import { encodeState, stateValues } from '../src/state'
import type { Bytes, RowKey } from '../src/transport'
import {
  decodeReference,
  encodeReference,
  failuresValue,
  failureValue,
  FrameReader,
  FrameWriter,
  Kind,
  NONE,
  setOf,
  withSuppressed,
  type Value,
} from '../src/value'
import { decodeInbox, encodeInbox, type InboxBody } from '../src/wire/inbox-message'
import { decodeDefinitionValue, encodeDefinitionValue, type PackedDefinition } from '../src/wire/packed-definition'
import { decodeReply, encodeReply, pipelineStatuses, type ReplyBody } from '../src/wire/reply'
import { decodeSignal, encodeSignal } from '../src/wire/signal'
import { decodeTask, encodeLoneTask, encodeTask, NO_OPTIONS, type TaskMessage } from '../src/wire/task-message'
import { createTasks, fanOut, inParallel, sleep, sleepUntil, waitForEvent } from '../src/index'

const recorded = JSON.parse(readFileSync(new URL('fixtures/version-1.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, string>
>

/** Bytes, and what they are read as. */
interface Sample {
  readonly bytes: Bytes
  readonly means: unknown
  read(bytes: Bytes): unknown
}

const bytesOf = (text: string): Buffer => Buffer.from(text)
const one = (text: string): Value => ({ kind: Kind.one, bytes: bytesOf(text) })
const NAME = { id: 'a/b', run: 'run1', path: '/0.2/1' }

// ---- Rows ----------------------------------------------------------------------------------------------------------

const keys = new RunKeys('a/b', 7)
const box = new BoxKeys('order:7')
const state = encodeState(new Map([['count', bytesOf('3')]]))

const chunk = newChunk()
setBit(chunk.ended, 3)
setBit(chunk.live, 1_023)

const pipeline: PipelineRow = {
  id: 'a/b',
  run: 'run1',
  name: 'load',
  earlier: undefined,
  gen: 7,
  status: 'RUNNING',
  hash: '9f9081fdef6a271c1188ca657ed546d6',
  createdAt: 1_700_000_000_000,
  finishedAt: 0,
  retentionMs: 86_400_000,
  meta: undefined,
  replyTo: undefined,
  lone: false,
  tasks: 3,
  done: 1,
  attempts: 2,
  out: 1,
  waits: 0,
  taken: undefined,
  finals: 0,
  litter: false,
  finishing: false,
  leaving: false,
  commands: undefined,
  events: 0,
  notes: undefined,
  chain: firstStep(one('[1]')),
  outcome: NONE,
  tree: undefined,
}

// Stored as numbers.
const phases = Object.keys({
  sent: 1,
  waiting: 1,
  group: 1,
  frame: 1,
  held: 1,
  failed: 1,
  event: 1,
} satisfies Record<Phase, 1>) as Phase[]

const timers: { readonly [K in TimerRow['kind']]: readonly [what: string, row: Extract<TimerRow, { kind: K }>] } = {
  dispatch: ['d', { kind: 'dispatch', ...NAME, attempt: 2 }],
  expire: ['e', { kind: 'expire', id: 'a/b', run: 'run1' }],
  event: ['w/0', { kind: 'event', ...NAME }],
  forget: ['f', { kind: 'forget', id: 'order:7', run: '', path: 'i1' }],
  grace: ['g', { kind: 'grace', id: 'a/b', run: 'run1' }],
}

const job = { id: 'a/b', run: 'run1', gen: 7, path: '/0' }
const jobs: { readonly [K in JobRow['kind']]: Extract<JobRow, { kind: K }> } = {
  pump: { kind: 'pump', ...job },
  'fan-in': { kind: 'fan-in', ...job },
  resume: { kind: 'resume', ...job },
  finals: { kind: 'finals', ...job },
  wake: { kind: 'wake', ...job, round: 40 },
  seek: { kind: 'seek', ...job },
  reopen: { kind: 'reopen', ...job, before: 41 },
  clean: { kind: 'clean', ...job, whole: true, blobs: true },
}

const rows: Readonly<Record<string, readonly [key: RowKey, row: Row]>> = {
  tally: [TALLY, { live: 5, timers: 2 }],
  pipeline: [pipelineKey('a/b'), pipeline],
  'pipeline that has ended': [
    pipelineKey('a/b'),
    {
      ...pipeline,
      earlier: ['run0'],
      status: 'CANCELLED',
      finishedAt: 1_700_000_001_000,
      meta: { tenant: 7 },
      replyTo: 'client1',
      lone: true,
      finals: 1,
      litter: true,
      finishing: true,
      leaving: true,
      commands: ['c1', ['c2', 'PAUSED'], ['c3', null, 'run2']],
      events: 12,
      waits: 1,
      taken: ['e1'],
      notes: { '/0': [0.5, 'half'] },
      chain: undefined,
      outcome: one('"end"'),
      tree: {
        hops: 1,
        at: 2,
        trail: '1.2',
        caught: [[0, 1]],
        entries: [
          ['t', 'load'],
          ['g', '', 3],
        ],
        count: 2,
        finally: 'cleanUp',
      },
    },
  ],
  chain: [keys.chain('/0.2'), firstStep(one('[1]'))],
  'chain with all that few have': [
    keys.chain('/0.2/1:'),
    {
      hop: 2,
      at: 4,
      phase: 'waiting',
      attempt: 3,
      resends: 1,
      since: 250,
      input: { kind: Kind.spread, bytes: bytesOf('[1,2]') },
      definition: { pages: 2, blob: 'blob1', inline: 1 },
      state,
      saved: { value: one('7'), at: 3, phase: 'failed' },
      caught: [[0, 1]],
      trail: '1.2',
    },
  ],
  group: [
    keys.group('/0'),
    {
      size: 2_000,
      next: 1_500,
      ended: 900,
      failed: 2,
      returnExceptions: false,
      most: 100,
      unordered: false,
      reopening: false,
      input: one('[1]'),
      state: undefined,
    },
  ],
  'group with a state': [
    keys.group('/0'),
    {
      size: 2,
      next: 2,
      ended: 1,
      failed: 1,
      returnExceptions: true,
      most: 0,
      unordered: true,
      reopening: true,
      input: NONE,
      state,
    },
  ],
  chunk: [keys.chunk('/0', 1_500), chunk],
  held: [keys.held('/0.2/1'), { path: '/0.2/1' }],
  final: [keys.final('/0:'), { path: '/0:' }],
  wait: [keys.wait('/1'), { ...NAME, address: '/order:7', key: 'order:7', dueAt: 1_700_000_000_500, timeoutMs: 500 }],
  window: [
    windowKey(41),
    {
      seq: 41,
      epoch: 3,
      sentAt: 1_700_000_000_000,
      queues: ['default'],
      items: [
        { lane: 'local', ...NAME, attempt: 1 },
        { lane: 'queue', id: 'a/b', run: 'run1', group: '/0', from: 10, to: 20 },
      ],
    },
  ],
  box: [box.box, { next: 4, lastWait: 2, waiting: 1, offered: 1, kept: 1, seen: 2, traces: 1 }],
  waiter: [box.waiter(NAME), { ...NAME, number: 2, match: { 'order.id': 7 }, offered: 3, gone: false }],
  'kept event': [
    box.event(3),
    {
      number: 3,
      eventId: 'e1',
      value: one('{"paid":true}'),
      fields: { paid: true },
      forOne: true,
      search: 'one',
      round: 40,
      out: 1,
      taken: false,
      kept: true,
    },
  ],
  'seen event': [box.seen('e1'), { number: 3 }],
}

const rowSample = ([key, row]: readonly [RowKey, Row]): Sample => ({
  bytes: Buffer.concat([bytesOf(`${key}\n`), encodeRow(key, row)]),
  means: row,
  read(bytes) {
    const end = bytes.indexOf(10)
    expect(Buffer.from(bytes.subarray(0, end)).toString()).toBe(key)
    return decodeRow(key, bytes.subarray(end + 1))
  },
})

// ---- Messages ------------------------------------------------------------------------------------------------------

const packed: PackedDefinition = { hash: '9f90', tasks: 1, pages: [bytesOf('{"v":1}')], pageCount: 1 }
const inBlob: PackedDefinition = { hash: '9f90', tasks: 9_000, pages: [], blob: 'blob1', pageCount: 12 }
const retry = { maxRetries: 3, delayMs: 1_000, factor: 2, maxDelayMs: 60_000, jitter: 'full' } as const
const failure = failureValue({ code: 'TASKS_TASK_FAILED', name: 'RangeError', message: 'too far' })
const answered = { replyTo: 'client1', correlation: 'q1' }

const inbox: { readonly [T in InboxBody['type']]: Readonly<Record<string, Extract<InboxBody, { type: T }>>> } = {
  submit: {
    plain: { type: 'submit', id: 'a/b', run: 'run1', options: {}, definition: packed },
    'of a lone task that failed': {
      type: 'submit',
      id: 'a/b',
      run: 'run1',
      options: {
        meta: { tenant: 7 },
        replyTo: 'client1',
        onDuplicate: 'restart',
        retentionMs: 60_000,
        runAt: 1_700_000_000_000,
        lone: 1,
        failed: { attempt: 1, verdict: { retryable: true } },
      },
      definition: inBlob,
      failure,
    },
  },
  outcomes: {
    all: {
      type: 'outcomes',
      outcomes: [
        { ...NAME, attempt: 1, value: one('1') },
        { ...NAME, attempt: 2, value: failure, verdict: { retryable: true, retryAfterMs: 50, retry } },
        { ...NAME, attempt: 1, value: one('2'), state: state! },
        { ...NAME, attempt: 1, value: one('3'), passed: [{ path: '/0.2/0', attempt: 1, value: one('0') }] },
      ],
    },
  },
  running: {
    all: {
      type: 'running',
      items: [
        ['a/b', 'run1', '/0', 1],
        ['a/b', 'run1', '/1', 2, [0.5, 'half']],
      ],
    },
  },
  command: {
    plain: { type: 'command', command: 'pause', id: 'a/b', commandId: 'c1', ...answered },
    'with a grace': { type: 'command', command: 'cancel', id: 'a/b', commandId: 'c1', ...answered, graceMs: 500 },
  },
  query: {
    wait: {
      type: 'query',
      question: {
        ask: 'wait',
        runs: [
          ['a/b', 'run1', 1, '9f90'],
          ['c', 0],
        ],
      },
      ...answered,
    },
    status: { type: 'query', question: { ask: 'status', id: 'a/b', run: 'run1', hash: '9f90' }, ...answered },
    describe: {
      type: 'query',
      question: { ask: 'describe', id: 'a/b', maxChains: 10, maxEntries: 50, failuresOf: 'a/b/0', failuresAfter: 99 },
      ...answered,
    },
    list: {
      type: 'query',
      question: { ask: 'list', after: 'M/a', limit: 100, status: 'FAILED', name: 'load', since: 1_700_000_000_000 },
      ...answered,
    },
  },
  event: {
    all: {
      type: 'event',
      key: 'order:7',
      pipelineId: 'a/b',
      eventId: 'e1',
      value: one('{"paid":true}'),
      fields: { paid: true },
      forOne: true,
      keepMs: 60_000,
    },
  },
  wait: { all: { type: 'wait', ...NAME, address: '/order:7', match: { 'order.id': 7 } } },
  unwait: { all: { type: 'unwait', ...NAME, address: '/order:7' } },
  offer: { all: { type: 'offer', ...NAME, address: '/order:7', number: 3, value: one('7') } },
  taken: { all: { type: 'taken', ...NAME, address: '/order:7', number: 3, accepted: false } },
}

const replies: { readonly [T in ReplyBody['type']]: Extract<ReplyBody, { type: T }> } = {
  ended: { type: 'ended', id: 'a/b', run: 'run1', status: 'COMPLETED', value: one('7') },
  attached: { type: 'attached', id: 'a/b', run: 'run1', actual: 'run0' },
  accepted: { type: 'accepted', id: 'a/b', run: 'run1' },
  refused: {
    type: 'refused',
    id: 'a/b',
    run: 'run1',
    failure: { code: 'TASKS_ID_EXISTS', name: 'TaskError', message: 'x' },
  },
  answer: { type: 'answer', correlation: 'q1', partition: 3, epoch: 2, seq: 41, answer: { status: 'RUNNING' } },
}

const task: TaskMessage = {
  type: 'task',
  ...NAME,
  attempt: 1,
  task: 'load',
  resends: 0,
  sentAt: 1_700_000_000_000,
  options: NO_OPTIONS,
  input: NONE,
  args: { kind: Kind.spread, bytes: bytesOf('[1]') },
  state: undefined,
}

const tasksSent: Readonly<Record<string, TaskMessage>> = {
  plain: task,
  'with all options': {
    ...task,
    attempt: 2,
    resends: 1,
    options: {
      timeoutMs: 500,
      retry,
      queue: 'slow',
      priority: 2,
      meta: { tenant: 7 },
      replyTo: 'client1',
      taskId: 'mine',
      final: 1,
      following: [
        [2, { task: 'next', open: 1 }, '[1]'],
        [3, { task: 'last' }],
      ],
    },
    input: one('7'),
    state,
  },
}

const lone: TaskMessage = { ...task, id: 'l1', run: '', path: '', options: { queue: 'slow', replyTo: 'client1' } }

// ---- Values --------------------------------------------------------------------------------------------------------

const withUndefined: unknown = [undefined, NaN, -0, 12n, new Date(5), new Map([['k', new Set([1])]]), { $t: 'mine' }]
const values: readonly unknown[] = [null, true, 'é\n', withUndefined, new Uint16Array([1, 2]), Buffer.from([0, 255])]
const reference = { name: 'blob1', kind: Kind.set, length: 70_000, crc32: 123_456_789 }
const causes = failuresValue(
  [
    { index: 3, failure },
    { index: 1_999, failure },
  ],
  150,
  2_000,
)
const framed = [NONE, one('1'), setOf([one('2')]), { kind: Kind.spread, bytes: bytesOf('[3]') }] as const

function framesOf(bytes: Bytes): unknown {
  const found: unknown[] = []
  for (const reader = new FrameReader(bytes); !reader.done;) found.push([reader.number(), reader.value()])
  return found
}

function frames(): Bytes {
  const writer = new FrameWriter()
  framed.forEach((value, index) => writer.addNumbered(index * 500, value))
  return writer.bytes()
}

// ---- Definitions ---------------------------------------------------------------------------------------------------

const codec = jsonCodec()
const registry = createTasks({ namespace: 'recorded' })
const load = registry.bind('load', (x: unknown, y?: unknown) => [x, y])
const options = {
  retry: { maxRetries: 2 },
  timeoutMs: 500,
  priority: 1,
  queue: 'slow',
  displayName: 'Load',
  taskId: 'mine',
}
const chains = inParallel([load, load.after('x'.repeat(300)), fanOut(load.send('own'))], {
  maxParallelism: 2,
  returnExceptions: true,
  ordered: false,
})
const everything = load
  .send(1)
  .set(options)
  .pauseAfter()
  .continueWith(sleep(5))
  .continueWith(sleepUntil(1_700_000_000_000).pauseAfter())
  .continueWith(chains.pauseAfter())
  .continueWith(fanOut(load, { maxParallelism: 2 }))
  .continueWith(waitForEvent({ key: 'order:7', pipeline: true, match: { 'order.id': 7 } }, { timeoutMs: 500 }))
  .exceptionally(load)
  .withInitial({ args: [], state: { count: 1 } })
  .inline()
  .finallyDo(load, 'end')
const wide = inParallel(Array.from({ length: 12 }, (_, index) => load.send('x'.repeat(60), index)))
// What a fan-out makes of an element.
const element = new Plan(new Plan(undefined, { value: { id: 7 } }), { sleep: 1 })

function definition(work: object, pageBytes: number): Sample {
  let names = 0
  const { pages, hash, taskCount, blobs } = encodeDefinition(work, {
    codec,
    inlineBytes: 200,
    pageBytes,
    blobName: () => `blob${names++}`,
  })
  const all = [bytesOf(hash), bytesOf(String(taskCount)), ...pages, ...blobs.map(({ bytes }) => bytes)]
  const read = (bytes: Bytes): unknown => {
    const [, , page0, ...others] = linesOf(bytes)
    const parsed = parseDefinition(page0!)
    return [parsed, others.slice(0, pages.length - 1).map((page, at) => parsePage(page, parsed, at + 1))]
  }
  const bytes = Buffer.concat(all.flatMap((part) => [part, bytesOf('\n')]))
  return { bytes, means: read(bytes), read }
}

const linesOf = (bytes: Bytes): Buffer[] => Buffer.from(bytes).toString().split('\n').slice(0, -1).map(bytesOf)

// ---- All of them ---------------------------------------------------------------------------------------------------

const sample = <T>(means: T, encode: (means: T) => Bytes, read: (bytes: Bytes) => T): Sample => ({
  bytes: encode(means),
  means,
  read,
})

function* namedSamples(): Generator<readonly [name: string, sample: Sample]> {
  for (const [name, row] of Object.entries(rows)) yield [`row: ${name}`, rowSample(row)]
  for (const status of pipelineStatuses)
    yield [`row: pipeline, ${status}`, rowSample([pipelineKey('p'), { ...pipeline, status, chain: undefined }])]
  for (const phase of phases)
    yield [`row: chain, ${phase}`, rowSample([keys.chain('/0.2'), { ...firstStep(one('[1]')), phase }])]
  for (const [kind, [what, row]] of Object.entries(timers))
    yield [`row: timer, ${kind}`, rowSample([keys.timer(1_700_000_000_000, what), row])]
  for (const [kind, row] of Object.entries(jobs))
    yield [`row: job, ${kind}`, rowSample([keys.job(row.kind, row.path), row])]
  for (const [type, bodies] of Object.entries(inbox))
    for (const [name, body] of Object.entries<InboxBody>(bodies))
      yield [`inbox: ${type}, ${name}`, sample(body, encodeInbox, decodeInbox)]
  for (const [type, body] of Object.entries(replies)) yield [`reply: ${type}`, sample(body, encodeReply, decodeReply)]
  for (const [name, message] of Object.entries(tasksSent))
    yield [`task: ${name}`, sample(message, encodeTask, (bytes) => decodeTask(bytes, ''))]
  yield ['task: lone', sample(lone, encodeLoneTask, (bytes) => decodeTask(bytes, 'l1'))]
  const cancelled = { type: 'cancelled', runs: [{ id: 'a/b', run: 'run1' }] } as const
  yield ['signal: cancelled', sample(cancelled, encodeSignal, (bytes) => decodeSignal(bytes) as typeof cancelled)]
  yield ['value: pipeline', sample(packed, encodeDefinitionValue, decodeDefinitionValue)]
  yield ['value: pipeline in a blob', sample(inBlob, encodeDefinitionValue, decodeDefinitionValue)]
  const asReference = (bytes: Bytes) => decodeReference({ kind: Kind.reference, bytes })
  yield ['value: reference', sample(reference, (means) => encodeReference(means).bytes, asReference)]
  yield ['value: state', sample(stateValues(state), (means) => encodeState(means)!, stateValues)]
  yield [
    'value: frames',
    { bytes: frames(), means: framed.map((value, index) => [index * 500, value]), read: framesOf },
  ]
  const group = withSuppressed(causes, failure)
  const asError = (bytes: Bytes): unknown => toldOf(decodeFailure({ kind: Kind.errors, bytes }))
  const cause = { message: 'too far', name: 'RangeError' }
  yield [
    'value: errors',
    {
      bytes: group.bytes,
      means: {
        message: '150 of 2000 chains of a group failed; the first: too far',
        name: 'TaskError',
        errors: [
          { ...cause, index: 3 },
          { ...cause, index: 1_999 },
        ],
        errorCount: 150,
        suppressed: [cause],
      },
      read: asError,
    },
  ]
  yield [
    'value: one, of the codec',
    {
      bytes: codec.encode(values),
      means: values,
      read: (bytes) => decodeValue(codec, { kind: Kind.one, bytes }),
    },
  ]
  yield ['definition: everything', definition(everything, 32_768)]
  yield ['definition: an element', definition(element, 32_768)]
  yield ['definition: in pages', definition(wide, 256)]
}

interface Told {
  readonly message: string
  readonly name: string
  readonly index?: number
  readonly errorCount?: number
  readonly errors?: readonly Told[]
  readonly suppressed?: readonly Told[]
}

function toldOf({ message, name, index, errorCount, errors, suppressed }: Told): Told {
  return {
    message,
    name,
    ...(index !== undefined && { index }),
    ...(errorCount !== undefined && { errorCount }),
    ...(errors && { errors: errors.map(toldOf) }),
    ...(suppressed && { suppressed: suppressed.map(toldOf) }),
  }
}

const textOf = (bytes: Bytes): string => Buffer.from(bytes).toString('latin1')
const samples = new Map(namedSamples())
/** Bytes are compared as such, whatever kind of array they are in. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: textOf(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, plain(item)]))
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

test('every kind of row, message, value and definition is recorded', () => {
  const missing = [...samples].filter(([name]) => !(name in recorded))
  expect(Object.fromEntries(missing.map(([name, { bytes }]) => [name, textOf(bytes)]))).toEqual({})
  expect(Object.keys(recorded).filter((name) => !samples.has(name))).toEqual([])
})

test.each([...samples])('%s', (name, { bytes, means, read }) => {
  const before = Buffer.from(recorded[name] ?? '', 'latin1')
  expect(plain(read(before))).toEqual(plain(means))
  expect(textOf(bytes)).toBe(recorded[name])
})
