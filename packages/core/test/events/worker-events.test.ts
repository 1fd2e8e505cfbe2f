// What workers say of their tasks, as it stands in the log, and as Huey would have said it.
import { expect, onTestFinished, test, describe } from 'vitest'
import {
  hueyEvent,
  RetryAfterError,
  taskContext,
  TaskVetoError,
  type HueyEvent,
  type RetryPolicy,
} from '../../src/index'
import type { MemoryFaults, MemoryTransport } from '../../src/memory'
import { virtualClock } from '../../src/testing/virtual-clock'
import type { WorkerOptions } from '../../src/worker/settings'
import { EventOutbox } from '../../src/worker/event-outbox'
import { systemClock } from '../../src/clock'
import { silentLogger } from '../../src/testing/silent-logger'
import { eventsIn, logOf, readOfficially } from '../support/event-log'
import { eventually, later, NAMESPACE, system, type System } from '../support/system'

const workerEventsIn = async (transport: MemoryTransport): Promise<readonly HueyEvent[]> =>
  (await eventsIn(transport)).flatMap((event) => hueyEvent(event) ?? [])

/** A worker that publishes its events, on a transport that may be told to fail. */
async function talkative(sys: System, options: Partial<WorkerOptions> = {}) {
  const faults: MemoryFaults = {}
  const transport = sys.connect({ faults })
  const worker = await sys.worker({ workerEvents: true, ...options }, transport)
  /** Everything that was said, once the worker has closed. */
  const said = async (): Promise<readonly HueyEvent[]> => {
    await worker.close()
    const look = sys.connect()
    onTestFinished(() => look.close())
    for (const body of await logOf(look)) readOfficially(body)
    return workerEventsIn(look)
  }
  return { worker, faults, said, transport }
}

const ofTask = { task: 'work', retries: 0, retry_delay: 0, execute_time: null, id: 'p/0' }
const number = expect.any(Number) as number
const text = expect.any(String) as string
const started = { status: 'started', error: false, ...ofTask, timestamp: number }
const finished = { status: 'finished', error: false, ...ofTask, timestamp: number, duration: number }
const failed = { status: 'error-task', error: true, ...ofTask, duration: number, traceback: text }
const retrying = { status: 'retrying', error: false, ...ofTask }
const scheduled = { status: 'scheduled', error: false, ...ofTask, execute_time: number }

const atOnce: RetryPolicy = { maxRetries: 2, delayMs: 0 }
const afterAWhile: RetryPolicy = { maxRetries: 2, delayMs: 20, factor: 1, jitter: 'none' }

describe.each([
  ['from the local lane', { localLane: true }],
  ['from the queue', { localLane: false }],
  ['from the queue, durable', { localLane: false, durableWorkerEvents: true }],
  ['from the local lane, durable', { localLane: true, durableWorkerEvents: true }],
] as const)('a task %s says, with all fields of Huey and no others,', (_, options) => {
  /** What a pipeline of one such task has said. */
  async function sequenceOf(
    work: () => unknown,
    retry?: RetryPolicy,
    submit: { readonly delayMs?: number } = {},
  ): Promise<readonly HueyEvent[]> {
    const sys = system()
    const task = sys.tasks.bind('work', work, retry === undefined ? {} : { retry })
    const { said } = await talkative(sys, options)
    const run = await sys.client().submit(task.send(), { id: 'p', ...submit })
    await run.result().catch(() => undefined)
    return said()
  }

  const failing = (times: number) => () => {
    if (taskContext().attempt <= times) throw new RangeError('not yet')
  }

  test('started, finished', async () => {
    expect(await sequenceOf(() => 1)).toEqual([started, finished])
  })

  test('when it was sent with a delay: scheduled, started, finished', async () => {
    const before = Date.now() / 1000
    const events = await sequenceOf(() => 1, undefined, { delayMs: 300 })
    expect(events).toEqual([scheduled, started, finished])
    expect(events[0]!.execute_time).toBeGreaterThanOrEqual(before + 0.3)
  })

  test('when it is tried again at once: started, error-task, retrying, started, finished', async () => {
    const left = (retries: number) => ({ retries, retry_delay: 0 })
    expect(await sequenceOf(failing(1), atOnce)).toEqual([
      { ...started, ...left(2) },
      { ...failed, ...left(2), traceback: expect.stringMatching(/^RangeError: not yet\n +at /) },
      { ...retrying, ...left(1) },
      { ...started, ...left(1) },
      { ...finished, ...left(1) },
    ])
  })

  test('when it is tried again later: scheduled behind retrying', async () => {
    const left = (retries: number) => ({ retries, retry_delay: 0.02 })
    expect(await sequenceOf(failing(1), afterAWhile)).toEqual([
      { ...started, ...left(2) },
      { ...failed, ...left(2) },
      { ...retrying, ...left(1) },
      { ...scheduled, ...left(1) },
      { ...started, ...left(1) },
      { ...finished, ...left(1) },
    ])
  })

  test('when its retries are used up: error-task, and no retrying', async () => {
    const events = await sequenceOf(failing(9), atOnce)
    expect(events.map(({ status, retries }) => `${status} ${retries}`)).toEqual([
      'started 2',
      'error-task 2',
      'retrying 1',
      'started 1',
      'error-task 1',
      'retrying 0',
      'started 0',
      'error-task 0',
    ])
  })

  test('when it asks to be called again: retrying and no error, as long as it may be', async () => {
    const events = await sequenceOf(
      () => {
        throw new RetryAfterError('busy', 20)
      },
      { maxRetries: 1, delayMs: 0 },
    )
    expect(events.map(({ status }) => status)).toEqual(['started', 'retrying', 'scheduled', 'started', 'error-task'])
  })

  test('when its result cannot be stored: error-storing-result, and neither finished nor retrying', async () => {
    const events = await sequenceOf(() => () => 1, atOnce)
    const left = { retries: 2, retry_delay: 0 }
    expect(events).toEqual([
      { ...started, ...left },
      { ...failed, ...left, status: 'error-storing-result' },
    ])
  })
})

test.each([
  ['an argument that the transport does not give', 'get', 'error-internal'],
  ['a result that it does not take', 'put', 'error-storing-result'],
] as const)(
  'of %s, the worker that gives the task up says so, and whoever has it next finishes it',
  async (_, what, status) => {
    const clock = virtualClock()
    const sys = system({ clock })
    const task = sys.tasks.bind('work', (value: string) => value)
    const { said, faults } = await talkative(sys)
    let broken = true
    faults.blob = ({ op }) => (broken && op === what ? 'lost' : undefined)
    const large = 'x'.repeat(200_000)
    const run = await sys.client().submit(task.send(large), { id: 'p' })
    await clock.advance(5_000)
    broken = false
    await clock.advance(30_000)
    expect(await run.result()).toBe(large)
    const statuses = (await said()).map((event) => event.status)
    expect(statuses.slice(0, 3)).toEqual(['started', status, 'started'])
    expect(statuses.at(-1)).toBe('finished')
  },
)

test.each([
  ['send', {}, ['error-enqueueing', 'started', 'finished']],
  ['let wait', { delayMs: 20 }, ['error-scheduling', 'scheduled', 'started', 'finished']],
] as const)('of a commit that fails its owner says what it was to %s', async (_, options, statuses) => {
  const sys = system()
  const task = sys.tasks.bind('work', () => 1)
  const { said, faults } = await talkative(sys, { localLane: false })
  let losses = 1
  faults.commit = () => (losses-- > 0 ? 'lost' : undefined)
  const run = await sys.client().submit(task.send(), { id: 'p', ...options })
  await run.result()
  const events = await said()
  expect(events.map(({ status }) => status)).toEqual(statuses)
  expect(events[0]).toEqual({ ...failed, status: statuses[0], duration: undefined })
})

test('while the broker is down, each failure to receive is an error-dequeueing, published when it is back', async () => {
  const sys = system()
  const task = sys.tasks.bind('work', () => 1)
  const { said, faults, transport } = await talkative(sys, { localLane: false })
  const client = sys.client()
  let failures = 0
  faults.receive = () => (failures++, 'lost')
  faults.send = () => 'lost'
  await client.submit(task.send(), { id: 'p' })
  await eventually(() => expect(failures).toBeGreaterThanOrEqual(3))
  expect(await workerEventsIn(transport)).toEqual([])
  faults.receive = () => undefined
  faults.send = () => undefined
  await client.attach('p').result()
  const events = await said()
  const down = events.filter(({ status }) => status === 'error-dequeueing')
  expect(down.length).toBeGreaterThanOrEqual(3)
  // No task is known: no field of one.
  for (const event of down) expect(event).toEqual({ status: 'error-dequeueing', error: true, traceback: text })
  expect(events.filter(({ id }) => id === 'p/0').map(({ status }) => status)).toEqual(['started', 'finished'])
})

test('a task of a pipeline that was cancelled before it began is revoked, and says nothing else', async () => {
  const sys = system()
  let go = (): void => undefined
  const hold = sys.tasks.bind('hold', () => new Promise<void>((resolve) => (go = resolve)))
  const task = sys.tasks.bind('work', () => 1)
  const { said } = await talkative(sys, { localLane: false, concurrency: 1 })
  const client = sys.client()
  const holding = await client.submit(hold.send())
  const run = await client.submit(task.send(), { id: 'p' })
  await run.cancel()
  await eventually(async () => expect((await run.status()).status).toBe('CANCELLING'))
  go()
  await holding.result()
  await run.result().catch(() => undefined)
  expect((await said()).filter(({ id }) => id === 'p/0')).toEqual([
    { status: 'revoked', error: false, ...ofTask, timestamp: number },
  ])
})

test('hooks come between: behind started, behind the result, before retrying; a veto is an error', async () => {
  const sys = system()
  const task = sys.tasks.bind('work', () => {
    throw new Error('no')
  })
  sys.tasks.events.on('taskStarted', ({ context }) => {
    if (context.taskId === 'vetoed/0') throw new TaskVetoError('not this one')
  })
  sys.tasks.events.on('taskFinished', () => later(5))
  const { said } = await talkative(sys)
  const client = sys.client()
  const fine = sys.tasks.bind('fine', () => 1)
  const busy = sys.tasks.bind(
    'busy',
    () => {
      throw new RetryAfterError('busy', 5)
    },
    { retry: { maxRetries: 1, delayMs: 0 } },
  )
  sys.tasks.events.on('taskFinished', ({ context }) => {
    if (context.taskId.startsWith('late')) throw new TaskVetoError('not this one')
  })
  const runs = { vetoed: task, p: task, late: task, 'late-fine': fine, 'late-busy': busy }
  for (const [id, each] of Object.entries(runs))
    await (await client.submit(each.send(), { id })).result().catch(() => undefined)
  const events = await said()
  const of = (id: string) => events.filter((event) => event.id === id).map(({ status }) => status)
  expect(of('vetoed/0')).toEqual(['started', 'error-task'])
  expect(of('p/0')).toEqual(['started', 'error-task'])
  // It has failed once, whatever was said of it afterwards.
  expect(of('late/0')).toEqual(['started', 'error-task'])
  expect(of('late-fine/0')).toEqual(['started', 'finished', 'error-task'])
  expect(of('late-busy/0')).toEqual(['started', 'error-task'])
})

test('lone tasks say the same, also when they become a pipeline to be tried again', async () => {
  const sys = system()
  const task = sys.tasks.bind(
    'work',
    () => {
      if (taskContext().attempt === 1) throw new Error('no')
    },
    { retry: afterAWhile },
  )
  const { said } = await talkative(sys)
  const lone = await sys.client().enqueue(task.send(), { reply: true })
  await lone.result()
  const events = await said()
  const statuses = ['started', 'error-task', 'retrying', 'scheduled', 'started', 'finished']
  expect(events.map(({ status }) => status)).toEqual(statuses)
  expect(new Set(events.map(({ id }) => id))).toEqual(new Set([`${lone.id}/0`]))
})

describe('best effort', () => {
  test('holds up no task: what cannot be published waits, and what is too much for that is dropped and counted', async () => {
    const sys = system()
    const task = sys.tasks.bind('work', (n: number) => n)
    const { worker, faults } = await talkative(sys, { localLane: false, leaseMs: 300 })
    faults.send = ({ target }) => (target.to === 'events' ? 'lost' : undefined)
    const client = sys.client()
    const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => client.submit(task.send(n))))
    expect(await Promise.all(runs.map((run) => run.result()))).toHaveLength(20)
    expect(worker.droppedEvents).toBe(0)
    await worker.close()
    expect(worker.droppedEvents).toBe(40)
  })

  test('keeps so much and no more', async () => {
    const sys = system()
    let tried = 0
    const faults: MemoryFaults = { send: () => (tried++, 'lost') }
    const transport = sys.connect({ faults })
    const space = await transport.open({ namespace: NAMESPACE })
    const outbox = new EventOutbox({ space, clock: systemClock, logger: silentLogger, name: 'w', keepsAll: false })
    const event = JSON.stringify({ id: '1', source: '/x', type: 't', data: 'x'.repeat(100_000) })
    for (let i = 0; i < 100; i++) outbox.add(i % space.partitions, event)
    await eventually(() => expect(tried).toBeGreaterThan(0))
    const { dropped } = outbox
    expect(dropped).toBeGreaterThan(10)
    expect(dropped).toBeLessThan(30)
    faults.send = () => undefined
    await outbox.stored()
    // There is room again.
    outbox.add(0, event)
    await outbox.stored()
    await outbox.close(1_000)
    expect(outbox.dropped).toBe(dropped)
    expect(await eventsIn(transport)).toHaveLength(101 - dropped)
    await transport.close()
  })
})

describe.each([true, false])('durable (local lane: %s)', (localLane) => {
  test('an outcome waits for the events of its task', async () => {
    const sys = system()
    const task = sys.tasks.bind('work', () => 1)
    const { faults, said } = await talkative(sys, { localLane, durableWorkerEvents: true })
    let refused = 0
    faults.send = ({ target }) => (target.to === 'events' ? (refused++, 'lost') : undefined)
    const run = await sys.client().submit(task.send(), { id: 'p' })
    await eventually(() => expect(refused).toBeGreaterThanOrEqual(2))
    expect(await run.status()).toMatchObject({ status: 'RUNNING', done: 0 })
    faults.send = () => undefined
    expect(await run.result()).toBe(1)
    expect(await said()).toEqual([started, finished])
  })
})

test('nobody who did not ask for them has any', async () => {
  const sys = system()
  const task = sys.tasks.bind('work', () => 1)
  const transport = sys.connect()
  const worker = await sys.worker({ events: 'tasks' }, transport)
  await (await sys.client().submit(task.send())).result()
  expect(await workerEventsIn(transport)).toEqual([])
  expect((await eventsIn(transport)).length).toBeGreaterThan(0)
  expect(worker.droppedEvents).toBe(0)
})
