import { expect, test } from 'vitest'
import { createClient, type Client, type ClientOptions } from '../src/client/client'
import { memoryTransport } from '../src/memory'
import { createTasks } from '../src/tasks'
import { startWorker, type WorkerOptions } from '../src/worker/worker'

const tasks = createTasks({ namespace: 'options' })
const task = tasks.bind('task', (value: unknown) => value)

/** Calls without types, as a JavaScript user does. */
function untyped(): Record<'submit' | 'enqueue' | 'enqueueMany' | 'list', (...args: unknown[]) => Promise<unknown>> {
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

test.each([[undefined], [{}], [{ namespace: 'x', transport: 5 }], [{ namespace: 'x', transprot: 'memory:' }]])(
  'createClient refuses %j',
  (options) => {
    expect(() => createClient(options as unknown as ClientOptions)).toThrowError(
      expect.objectContaining({ name: 'TaskError' }) as Error,
    )
  },
)

test.each([
  [undefined, /options/],
  [{ tasks: {} }, /tasks must be what createTasks/],
  [{ tasks, concurrency: 1.5 }, /concurrency .* not 1.5/],
  [{ tasks, concurency: 5 }, /no option "concurency"/],
  [{ tasks, roles: [] }, /roles/],
  [{ tasks, queues: 'default' }, /queues/],
  [{ tasks, maxDeliveries: 1 }, /at least 2/],
  [{ tasks: createTasks({ namespace: 'none' }) }, /has no tasks/],
])('startWorker refuses %j', async (options, message) => {
  await expect(startWorker(options as unknown as WorkerOptions)).rejects.toMatchObject({
    name: 'TaskError',
    message: expect.stringMatching(message) as string,
  })
})

test('list goes on after the last id of a page', async () => {
  const transport = memoryTransport()
  await using worker = await startWorker({ tasks, transport, partitions: 4 })
  await using client = createClient({ namespace: 'options', transport })
  const ids = Array.from({ length: 25 }, (_, index) => `p${String(index).padStart(2, '0')}`)
  await Promise.all(ids.map(async (id) => (await client.submit(task.send(1), { id })).result()))
  const seen: string[] = []
  for (let after: string | undefined; ;) {
    const page = await client.list({ limit: 10, ...(after === undefined ? {} : { after }) })
    seen.push(...page.pipelines.map(({ id }) => id))
    after = page.after
    if (after === undefined) break
  }
  expect(seen).toEqual(ids)
  expect(worker.namespace).toBe('options')
})
