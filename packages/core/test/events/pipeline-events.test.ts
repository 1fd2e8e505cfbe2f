// What workers say of their pipelines, as it stands in the log.
import { expect, test } from 'vitest'
import { inParallel, sleep, taskContext, type PipelineEvent, type TaskError, type WorkerOptions } from '../../src/index'
import type { MemoryTransport } from '../../src/memory'
import { eventsIn, logOf, readOfficially } from '../support/event-log'
import { eventually, system, type System } from '../support/system'

const pipelineEventsIn = (transport: MemoryTransport) => eventsIn(transport) as Promise<readonly PipelineEvent[]>

/** Pipelines with all that can happen in them. */
async function busy(sys: System, options: Partial<WorkerOptions> = {}): Promise<MemoryTransport> {
  const { tasks } = sys
  const double = tasks.bind('double', (n: number) => n * 2)
  const sum = tasks.bind('sum', (numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
  let tries = 0
  const flaky = tasks.bind(
    'flaky',
    (n: number) => {
      if (tries++ === 0) throw new RangeError('not yet: "é"\n')
      return n
    },
    { retry: { maxRetries: 2, delayMs: 1 } },
  )
  const broken = tasks.bind('broken', (): number => {
    throw new TypeError('broken')
  })
  const rescue = tasks.bind('rescue', (_: TaskError) => 7)
  const nested = tasks.bind('nested', (n: number) => double.send(n).continueWith(double))
  const transport = sys.connect()
  const worker = await sys.worker(options, transport)
  const client = sys.client()
  const results = await Promise.all([
    (await client.submit(inParallel([double.send(1), double.send(2)]).continueWith(sum), { id: 'group' })).result(),
    (await client.submit(flaky.send(1).continueWith(double), { id: 'a/b%é' })).result(),
    (await client.submit(broken.send().continueWith(double).exceptionally(rescue), { id: 'caught' })).result(),
    (await client.submit(nested.send(1), { id: 'nested' })).result(),
    (await client.submit(broken.send(), { id: 'failed' })).result().catch(() => 'failed'),
  ])
  expect(results).toEqual([6, 2, 7, 4, 'failed'])
  await client.sendEvent({ key: 'paid', value: 1 })
  await eventually(async () => expect((await eventsIn(transport)).map(({ type }) => type)).toContain('dev.tasks.event'))
  // What its worker says may leave last.
  await worker.close()
  return sys.connect()
}

const named = (events: readonly PipelineEvent[], id: string): readonly PipelineEvent[] =>
  events.filter(({ rootid }) => rootid === id)

const short = ({ type, data }: PipelineEvent): string => {
  const name = type.slice('dev.tasks.'.length)
  if ('status' in data) return `${name} ${data.status}`
  return 'task' in data ? `${name} ${data.task} ${data.attempt}` : name
}

test('every event is a CloudEvent, as the official package reads it, alone and in its batch', async () => {
  const transport = await busy(system(), { events: 'tasks', workerEvents: true })
  const bodies = await logOf(transport)
  const events = bodies.flatMap(readOfficially)
  expect(events.length).toBeGreaterThan(50)
  const types = new Set(events.map(({ type }) => type.slice('dev.tasks.'.length)))
  for (const type of ['pipeline.created', 'task.retried', 'event', 'worker.started', 'worker.error-task'])
    expect(types).toContain(type)
})

test('at the level "tasks" a pipeline tells each transition, in order', async () => {
  const transport = await busy(system(), { events: 'tasks' })
  const events = await pipelineEventsIn(transport)
  expect(named(events, 'a/b%é').map(short)).toEqual([
    'pipeline.created',
    'pipeline.status RUNNING',
    'task.dispatched flaky 1',
    'task.retried flaky 1',
    'task.dispatched flaky 2',
    'task.completed flaky 2',
    'task.dispatched double 1',
    'task.completed double 1',
    'pipeline.status COMPLETED',
  ])
  expect(named(events, 'caught').map(short)).toEqual([
    'pipeline.created',
    'pipeline.status RUNNING',
    'task.dispatched broken 1',
    'task.failed broken 1',
    'pipeline.skipped',
    'task.dispatched rescue 1',
    'task.completed rescue 1',
    'pipeline.status COMPLETED',
  ])
  for (const id of ['group', 'a/b%é', 'caught', 'nested', 'failed']) {
    const own = named(events, id)
    expect(own.map(({ sequence }) => Number(sequence))).toEqual(own.map((_, index) => index + 1))
    expect(new Set(own.map((event) => event.id)).size).toBe(own.length)
  }
  const failed = named(events, 'failed').at(-1)
  expect(failed?.data).toMatchObject({ status: 'FAILED', previous: 'RUNNING', error: { name: 'TypeError' } })
  const [first] = named(events, 'group')
  expect(first?.data).toEqual({
    name: 'double',
    tasks: 3,
    chain: [
      {
        taskId: 'group/0',
        group: 2,
        chains: [[{ taskId: 'group/0.0/0', task: 'double' }], [{ taskId: 'group/0.1/0', task: 'double' }]],
      },
      { taskId: 'group/1', task: 'sum' },
    ],
  })
  const returned = named(events, 'nested').filter(({ type }) => type === 'dev.tasks.pipeline.created')
  expect(returned.map(({ pipelineid }) => pipelineid)).toEqual(['nested', expect.stringMatching(/^nested./)])
})

test('by default a pipeline tells what happens to it, and nothing of its tasks', async () => {
  const transport = await busy(system())
  const events = await pipelineEventsIn(transport)
  expect(named(events, 'group').map(short)).toEqual([
    'pipeline.created',
    'pipeline.status RUNNING',
    'pipeline.status COMPLETED',
  ])
  expect(named(events, 'caught').map(short)).toEqual([
    'pipeline.created',
    'pipeline.status RUNNING',
    'pipeline.skipped',
    'pipeline.status COMPLETED',
  ])
})

test('at the level "none" pipelines tell nothing; what was sent is seen, for that is not theirs', async () => {
  const transport = await busy(system(), { events: 'none' })
  const events = await eventsIn(transport)
  expect(events.map(({ type, subject }) => [type, subject])).toEqual([['dev.tasks.event', 'paid']])
})

test('commands are told as what they did', async () => {
  const sys = system()
  let go = (): void => undefined
  const slow = sys.tasks.bind('slow', () => new Promise<void>((resolve) => (go = resolve)))
  const transport = sys.connect()
  await sys.worker({ events: 'tasks' }, transport)
  const client = sys.client()
  const run = await client.submit(slow.send(), { id: 'p' })
  await eventually(async () =>
    expect(named(await pipelineEventsIn(transport), 'p').map(short)).toContain('task.dispatched slow 1'),
  )
  await run.pause()
  await run.resume()
  await run.cancel()
  go()
  await run.result().catch(() => undefined)
  await eventually(async () =>
    expect(named(await pipelineEventsIn(transport), 'p').map(short)).toEqual([
      'pipeline.created',
      'pipeline.status RUNNING',
      'task.dispatched slow 1',
      'pipeline.status PAUSED',
      'pipeline.status RUNNING',
      'pipeline.status CANCELLING',
      'task.cancelled slow 1',
      'pipeline.status CANCELLED',
    ]),
  )
})

test('what a pipeline was submitted with is told when it begins, and its trace with everything', async () => {
  const sys = system()
  const { tasks } = sys
  const flaky = tasks.bind(
    'flaky',
    () => {
      if (taskContext().attempt === 1) throw new Error('not yet')
    },
    // Without chance: a delay of nothing is not scheduled.
    { retry: { maxRetries: 1, delayMs: 1, jitter: 'none' } },
  )
  const parent = tasks.bind('parent', () => flaky.send().continueWith(sleep(1)))
  const transport = sys.connect()
  const worker = await sys.worker({ events: 'tasks', workerEvents: true }, transport)
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  // Of a later version it may have more, and anything.
  const later = `cc${traceparent.slice(2)}-"more"`
  for (const [id, trace] of [
    ['traced', traceparent],
    ['later', later],
  ] as const)
    await (
      await sys.client().submit(inParallel([parent, flaky]), { id, meta: { traceparent: trace, tenant: 7 } })
    ).result()
  await (await sys.client().submit(flaky.send(), { id: 'untraced' })).result()
  await worker.close()
  const events = (await logOf(sys.connect())).flatMap(readOfficially)
  const traces = (id: string): unknown[] => [
    ...new Set(events.filter(({ rootid }) => rootid === id).map((event) => event.traceparent)),
  ]
  expect([traces('traced'), traces('later'), traces('untraced')]).toEqual([[traceparent], [later], [undefined]])
  const told = new Set(
    events.filter(({ rootid }) => rootid === 'traced').map(({ type }) => type.slice('dev.tasks.'.length)),
  )
  for (const type of ['task.retried', 'pipeline.status', 'worker.started', 'worker.scheduled'])
    expect(told).toContain(type)
  const created = events.filter(({ type, rootid }) => type === 'dev.tasks.pipeline.created' && rootid === 'traced')
  expect(created).toHaveLength(2)
  for (const { data } of created) expect(data).toMatchObject({ meta: { traceparent, tenant: 7 } })
})
