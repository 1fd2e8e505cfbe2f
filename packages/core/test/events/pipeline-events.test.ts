// What workers say of their pipelines, as it stands in the log.
import { HTTP, type CloudEvent as OfficialEvent } from 'cloudevents'
import { expect, test } from 'vitest'
import { eventsOf, type CloudEvent } from '../../src/events/cloud-event'
import { inParallel, type EventLevel, type PipelineEvent, type TaskError } from '../../src/index'
import type { MemoryTransport } from '../../src/memory'
import { eventually, NAMESPACE, system, type System } from '../support/system'

/** Everything in the log, by partition. */
async function logOf(transport: MemoryTransport): Promise<readonly Uint8Array[]> {
  const space = await transport.open({ namespace: NAMESPACE })
  const after = new Map(Array.from({ length: space.partitions }, (_, partition) => [partition, undefined] as const))
  const pages = await space.events.read({ after, max: 100_000, waitMs: 0 })
  await space.close()
  return pages.flatMap(({ events }) => events.map(({ body }) => body))
}

async function eventsIn(transport: MemoryTransport): Promise<readonly PipelineEvent[]> {
  return (await logOf(transport)).flatMap((body) => eventsOf(body)) as PipelineEvent[]
}

/** Pipelines with all that can happen in them. */
async function busy(sys: System, events?: EventLevel): Promise<MemoryTransport> {
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
  await sys.worker(events === undefined ? {} : { events }, transport)
  const client = sys.client()
  const results = await Promise.all([
    (await client.submit(inParallel([double.send(1), double.send(2)]).continueWith(sum), { id: 'group' })).result(),
    (await client.submit(flaky.send(1).continueWith(double), { id: 'a/b%é' })).result(),
    (await client.submit(broken.send().continueWith(double).exceptionally(rescue), { id: 'caught' })).result(),
    (await client.submit(nested.send(1), { id: 'nested' })).result(),
    (await client.submit(broken.send(), { id: 'failed' })).result().catch(() => 'failed'),
  ])
  expect(results).toEqual([6, 2, 7, 4, 'failed'])
  return transport
}

const named = (events: readonly PipelineEvent[], id: string): readonly PipelineEvent[] =>
  events.filter(({ rootid }) => rootid === id)

const short = ({ type, data }: PipelineEvent): string => {
  const name = type.slice('dev.tasks.'.length)
  if ('status' in data) return `${name} ${data.status}`
  return 'task' in data ? `${name} ${data.task} ${data.attempt}` : name
}

test('every event is a CloudEvent, as the official package reads it, alone and in its batch', async () => {
  const transport = await busy(system(), 'tasks')
  const bodies = await logOf(transport)
  expect(bodies.length).toBeGreaterThan(0)
  let count = 0
  for (const body of bodies) {
    const text = Buffer.from(body).toString()
    const headers = { 'content-type': 'application/cloudevents-batch+json' }
    const batch = HTTP.toEvent({ headers, body: text }) as OfficialEvent<unknown>[]
    const events = JSON.parse(text) as CloudEvent[]
    expect(batch).toHaveLength(events.length)
    for (const event of events) {
      const read = HTTP.toEvent({
        headers: { 'content-type': 'application/cloudevents+json' },
        body: JSON.stringify(event),
      }) as OfficialEvent<unknown>
      expect(read.validate()).toBe(true)
      expect(read.toJSON()).toMatchObject({ ...event })
      count++
    }
  }
  expect(count).toBeGreaterThan(30)
})

test('at the level "tasks" a pipeline tells each transition, in order', async () => {
  const transport = await busy(system(), 'tasks')
  const events = await eventsIn(transport)
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
  const events = await eventsIn(transport)
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

test('at the level "none" nothing is told', async () => {
  const transport = await busy(system(), 'none')
  expect(await eventsIn(transport)).toEqual([])
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
    expect(named(await eventsIn(transport), 'p').map(short)).toContain('task.dispatched slow 1'),
  )
  await run.pause()
  await run.resume()
  await run.cancel()
  go()
  await run.result().catch(() => undefined)
  await eventually(async () =>
    expect(named(await eventsIn(transport), 'p').map(short)).toEqual([
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
