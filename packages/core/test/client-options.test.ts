import { expect, test } from 'vitest'
import { createClient, type Client, type ClientOptions } from '../src/client/client'
import { memoryTransport } from '../src/memory'
import { createTasks } from '../src/tasks'
import type { WorkerOptions } from '../src/worker/settings'
import { startWorker } from '../src/worker/worker'

const tasks = createTasks({ namespace: 'options' })
const task = tasks.bind('task', (value: unknown) => value)

/** Calls without types, as a JavaScript user does. */
type Untyped = (...args: unknown[]) => Promise<unknown>

function untyped(): Record<'submit' | 'enqueue' | 'enqueueMany' | 'list', Untyped> & {
  readonly deadLetters: Record<'list', Untyped>
} {
  return createClient({ namespace: 'options', transport: memoryTransport() }) satisfies Client as never
}

const cyclic: Record<string, unknown> = {}
cyclic['self'] = cyclic

test.each([
  ['work that is nothing', [undefined], 'TASKS_ARGUMENTS', /a task or a pipeline is needed, not undefined/],
  ['work that is a plain function', [() => 1], 'TASKS_ARGUMENTS', /bind it first/],
  ['options that are no object', [task.send(1), 'x'], 'TASKS_OPTIONS', /options must be an object, not "x"/],
  [
    'an option that is misspelt',
    [task.send(1), { onDuplicated: 'reject' }],
    'TASKS_OPTIONS',
    /no option "onDuplicated"/,
  ],
  [
    'an unknown onDuplicate',
    [task.send(1), { onDuplicate: 'foo' }],
    'TASKS_OPTIONS',
    /onDuplicate must be .* not "foo"/,
  ],
  ['a retention that is no number', [task.send(1), { retentionMs: NaN }], 'TASKS_OPTIONS', /retentionMs .* not NaN/],
  ['a negative delay', [task.send(1), { delayMs: -1 }], 'TASKS_OPTIONS', /delayMs .* not -1/],
  ['two times', [task.send(1), { delayMs: 1, runAt: 1 }], 'TASKS_OPTIONS', /delayMs or runAt/],
  ['meta that is a list', [task.send(1), { meta: [] }], 'TASKS_OPTIONS', /meta must be an object/],
  [
    'meta with a function',
    [task.send(1), { meta: { by: () => 1 } }],
    'TASKS_OPTIONS',
    /meta must be an object of JSON/,
  ],
  ['meta with NaN', [task.send(1), { meta: { by: NaN } }], 'TASKS_OPTIONS', /meta must be an object of JSON/],
  ['meta that is cyclic', [task.send(1), { meta: cyclic }], 'TASKS_OPTIONS', /meta must be an object of JSON/],
  [
    'meta that is too large',
    [task.send(1), { meta: { text: 'x'.repeat(5_000) } }],
    'TASKS_OPTIONS',
    /meta is 5\d+ bytes; the limit is 4096/,
  ],
  [
    'a trace context of zeros',
    [task.send(1), { meta: { traceparent: '00-00000000000000000000000000000000-b7ad6b7169203331-01' } }],
    'TASKS_OPTIONS',
    /meta\.traceparent must be a W3C trace context/,
  ],
  [
    'a trace context that is none',
    [task.send(1), { meta: { traceparent: 7 } }],
    'TASKS_OPTIONS',
    /meta\.traceparent must .* not 7/,
  ],
  ['an empty id', [task.send(1), { id: '' }], 'TASKS_ID_INVALID', /pipeline id ""/],
  ['an argument that cannot be encoded', [task.send(() => 1)], 'TASKS_UNENCODABLE', /\$/],
] as const)('submit refuses %s', async (_, args, code, message) => {
  await expect(untyped().submit(...args)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  })
})

test.each([
  ['a priority out of range', [task.send(1), { priority: 99 }], 'TASKS_OPTIONS', /priority .* not 99/],
  ['a queue without a name', [task.send(1), { queue: '' }], 'TASKS_ID_INVALID', /queue/],
  [
    'a retention that is no number',
    [task.send(1), { id: 'x', retentionMs: -5 }],
    'TASKS_OPTIONS',
    /retentionMs .* not -5/,
  ],
  [
    'a retention of what is not kept',
    [task.send(1), { retentionMs: 5 }],
    'TASKS_OPTIONS',
    /enqueue: retentionMs is for what is kept/,
  ],
  ['a keepResult that is a text', [task.send(1), { keepResult: 'no' }], 'TASKS_OPTIONS', /keepResult .* not "no"/],
  ['a reply that is a number', [task.send(1), { reply: 1 }], 'TASKS_OPTIONS', /reply must be true or false, not 1/],
  ['a pipeline of two tasks', [task.send(1).continueWith(task)], 'TASKS_ARGUMENTS', /one task/],
  ['a task with a finally', [task.send(1).finallyDo(task, 1)], 'TASKS_ARGUMENTS', /one task/],
  ['a task that begins with a state', [task.send(1).withInitial({ state: {} })], 'TASKS_ARGUMENTS', /one task/],
  ['a pause behind a lone task', [task.send(1).pauseAfter()], 'TASKS_ARGUMENTS', /pauseAfter\(\) is for a pipeline/],
] as const)('enqueue refuses %s', async (_, args, code, message) => {
  await expect(untyped().enqueue(...args)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  })
})

test.each([
  ['a priority out of range', [task, [1], { priority: 99 }], 'TASKS_OPTIONS', /priority .* not 99/],
  ['an id for all of them', [task, [1], { id: 'x' }], 'TASKS_OPTIONS', /enqueueMany: there is no option "id"/],
  ['a queue without a name', [task, [1], { queue: '' }], 'TASKS_ID_INVALID', /queue/],
  ['a plain function', [() => 1, [1]], 'TASKS_ARGUMENTS', /bind it first/],
  ['a retention of what is not kept', [task, [1], { retentionMs: 5 }], 'TASKS_OPTIONS', /enqueueMany: retentionMs/],
  ['no inputs', [task], 'TASKS_ARGUMENTS', /a list of inputs is needed, not undefined/],
  ['a list of pipelines', [[task.send(1)]], 'TASKS_ARGUMENTS', /a task or a pipeline is needed, not object/],
  ['a pipeline', [task.send(1), [1]], 'TASKS_ARGUMENTS', /not a pipeline/],
] as const)('enqueueMany refuses %s', async (_, args, code, message) => {
  await expect(untyped().enqueueMany(...args)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  })
})

test.each([[{ limit: 0 }], [{ limit: -1 }], [{ limit: NaN }], [{ status: 'x' }], [{ page: 2 }]])(
  'list refuses %j',
  async (options) => {
    await expect(untyped().list(options)).rejects.toMatchObject({ code: 'TASKS_OPTIONS' })
  },
)

test.each([
  [{ limit: -1 }, /limit must be an integer from 1 to 10000, not -1/],
  [{ limt: 3 }, /deadLetters\.list: there is no option "limt"/],
  [{ after: 3 }, /after must be the id of a dead letter, not 3/],
  [3, /deadLetters\.list: options must be an object, not 3/],
])('deadLetters.list refuses %j', async (options, message) => {
  await expect(untyped().deadLetters.list(options)).rejects.toMatchObject({
    code: 'TASKS_OPTIONS',
    message: expect.stringMatching(message) as string,
  })
})

test.each([
  [{ timeoutMs: 'x' }, /timeoutMs must be a finite number of milliseconds of at least 0, not "x"/],
  [{ timoutMs: 1 }, /result: there is no option "timoutMs"; known: timeoutMs, signal/],
  [{ signal: true }, /signal must be an object with the functions/],
  [5, /result: options must be an object, not 5/],
])('result refuses %j', async (options, message) => {
  await using client = createClient({ namespace: 'options', transport: memoryTransport() })
  await expect(client.attach('x').result(options as never)).rejects.toMatchObject({
    code: 'TASKS_OPTIONS',
    message: expect.stringMatching(message) as string,
  })
})

test.each([
  [undefined, /createClient needs options/],
  [{}, /namespace undefined must have/],
  [
    { namespace: 'x', tasks: createTasks({ namespace: 'y' }) },
    /the tasks are those of namespace "y", the client's is "x"/,
  ],
  [{ namespace: 'x', transport: 5 }, /transport must be a URL or a transport, not 5/],
  [{ namespace: 'x', transprot: 'memory:' }, /no option "transprot"/],
  [{ namespace: 'x', answerMs: -1 }, /answerMs must be .* not -1/],
  [{ namespace: 'x', answerMs: 0 }, /answerMs must be .* not 0/],
  [{ namespace: 'x', answerMs: 'x' }, /answerMs must be .* not "x"/],
  [{ namespace: 'x', logger: {} }, /logger must be an object with the functions debug, info, warn, error/],
  [{ namespace: 'x', codec: {} }, /codec must be an object with the functions encode, decode/],
  [{ namespace: 'x', clock: null }, /clock must be an object with the functions now/],
])('createClient refuses %j', (options, message) => {
  expect(() => createClient(options as unknown as ClientOptions)).toThrowError(
    expect.objectContaining({ name: 'TaskError', message: expect.stringMatching(message) as string }) as Error,
  )
})

test.each([
  [undefined, /options/],
  [{ tasks: {} }, /tasks must be what createTasks/],
  [{ tasks, concurrency: 1.5 }, /concurrency .* not 1.5/],
  [{ tasks, concurency: 5 }, /no option "concurency"/],
  [{ tasks, roles: [] }, /roles/],
  [{ tasks, queues: 'default' }, /queues/],
  [{ tasks, maxDeliveries: 1 }, /at least 2/],
  [{ tasks, codec: {} }, /codec must be an object with the functions encode, decode/],
  [{ tasks, logger: 'stderr' }, /logger must be an object with the functions/],
  [{ tasks, workerEvents: 'durable' }, /workerEvents must be true or false, not "durable"/],
  [{ tasks, handleSignals: 'yes' }, /handleSignals must be true or false, not "yes"/],
  [{ tasks: createTasks({ namespace: 'none' }) }, /has no tasks/],
])('startWorker refuses %j', async (options, message) => {
  await expect(startWorker(options as unknown as WorkerOptions)).rejects.toMatchObject({
    name: 'TaskError',
    message: expect.stringMatching(message) as string,
  })
})

test('a worker refuses to close in a way that is none, and goes on', async () => {
  await using worker = await startWorker({ tasks, transport: memoryTransport() })
  for (const [how, message] of [
    [{ drainMs: 'x' }, /drainMs must be .* not "x"/],
    [{ drainMS: 1 }, /close: there is no option "drainMS"/],
  ] as const) {
    const closing = worker.close(how as never)
    await expect(closing).rejects.toMatchObject({
      code: 'TASKS_OPTIONS',
      message: expect.stringMatching(message) as string,
    })
  }
  await worker.close({ drainMs: 0 })
})

// Their order by UTF-8 bytes is not that of JavaScript's strings.
const WIDE_IDS = ['a', 'Ａ', 'Ｂ', 'Ｃ', 'Ｄ', 'Ｅ', 'Ｆ', 'Ｇ', '😀', '😁', '😂']

test.each([
  ['plain', Array.from({ length: 25 }, (_, index) => `p${String(index).padStart(2, '0')}`)],
  ['beyond U+D800', WIDE_IDS],
])('list goes on after the last id of a page: ids that are %s', async (_, ids) => {
  const transport = memoryTransport()
  await using worker = await startWorker({ tasks, transport, partitions: 4 })
  await using client = createClient({ namespace: 'options', transport })
  await Promise.all(ids.map(async (id) => (await client.submit(task.send(1), { id })).result()))
  const seen: string[] = []
  for (let after: string | undefined; ;) {
    const page = await client.list({ limit: 3, ...(after === undefined ? {} : { after }) })
    seen.push(...page.pipelines.map(({ id }) => id))
    after = page.after
    if (after === undefined) break
  }
  expect(seen).toEqual(ids)
  expect(worker.namespace).toBe('options')
})
