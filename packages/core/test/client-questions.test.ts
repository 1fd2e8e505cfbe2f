import { getEventListeners } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createClient, type Client } from '../src/client/client'
import { Replies } from '../src/client/replies'
import { systemClock } from '../src/clock'
import { memoryTransport } from '../src/memory'
import { createTasks } from '../src/tasks'
import { virtualClock } from '../src/testing/virtual-clock'
import { decodeInbox, type QueryMessage } from '../src/wire/inbox-message'
import { encodeReply } from '../src/wire/reply'
import { startWorker, type Worker } from '../src/worker/worker'
import { silentLogger } from '../src/testing/silent-logger'
import { eventually, ownersOnly, PATIENCE_MS, system } from './support/system'

// Enough on a machine that is busy with something else.
vi.setConfig({ testTimeout: 60_000 })

function setup() {
  const transport = memoryTransport()
  const tasks = createTasks({ namespace: 'questions' })
  const double = tasks.bind('double', (x: number): number => 2 * x)
  const closes: (() => Promise<void>)[] = []
  onTestFinished(async () => {
    for (const close of closes.reverse()) await close()
    await transport.close()
  })
  const client = (answerMs = 5_000): Client => {
    const made = createClient({ transport, namespace: 'questions', answerMs })
    closes.push(() => made.close())
    return made
  }
  const worker = async (): Promise<Worker> => {
    const started = await startWorker({ transport, tasks })
    closes.push(() => started.close())
    return started
  }
  return { double, client, worker }
}

test('owners() counts the partitions whose owner answers', async () => {
  const { client, worker } = setup()
  expect(await client(50).owners()).toEqual({ partitions: 16, answering: 0, slowestMs: 0 })
  await worker()
  const { partitions, answering, slowestMs } = await client().owners()
  expect({ partitions, answering }).toEqual({ partitions: 16, answering: 16 })
  expect(slowestMs).toBeGreaterThan(0)
})

test('the result of a pipeline that has ended needs no worker, where rows can be read', async () => {
  const { client, worker, double } = setup()
  const started = await worker()
  expect(await (await client().submit(double, 21, { id: 'old' })).result({ timeoutMs: 5_000 })).toBe(42)
  await started.close()
  expect(await client().attach('old').result({ timeoutMs: 100 })).toBe(42)
})

test('the result of a run that was submitted here and is gone is TASKS_NOT_FOUND', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  let deaf = true
  await worker({}, connect({ faults: { reply: () => (deaf ? 'lost' : undefined) } }))
  const run = await client().submit(echo, 1, { retentionMs: 1_000 })
  await clock.advance(10_000)
  deaf = false
  const result = run.result().catch((error: unknown) => error)
  await clock.advance(60_000)
  expect(await result).toMatchObject({ code: 'TASKS_NOT_FOUND' })
})

test('a question that comes before the submit it asks about says nothing of it', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const echo = tasks.bind('echo', (value: number) => value)
  let submits = 0
  const late = connect({ faults: { deliver: () => (submits++ === 0 ? { lateMs: 10_000 } : undefined) } })
  await worker()
  const run = await client({ answerMs: 100 }, late).submit(echo, 1)
  const result = run.result()
  await clock.advance(60_000)
  expect(await result).toBe(1)
  // It did ask.
  expect(submits).toBeGreaterThan(2)
})

// Where rows can be read, and where only owners answer.
test.each([true, false])(
  'a handle is of its run: one that was restarted tells nothing of the next (reader: %s)',
  async (reader) => {
    const { tasks, worker, client: clientOn, connect } = system()
    const client = () => clientOn({}, reader ? connect() : ownersOnly(connect()))
    const echo = tasks.bind('echo', (value: number) => value)
    const other = tasks.bind('other', (value: number) => value)
    await worker()
    const [here, there] = [client(), client()]
    const first = await here.submit(echo, 1, { id: 'p' })
    expect(await first.result({ timeoutMs: PATIENCE_MS })).toBe(1)
    const same = await there.submit(echo, 1, { id: 'p' })
    const second = await there.submit(other, 2, { id: 'p', onDuplicate: 'restart' })
    expect(await second.result({ timeoutMs: PATIENCE_MS })).toBe(2)
    expect(await second.status()).toMatchObject({ status: 'COMPLETED', name: 'other' })
    expect(await second.describe()).toMatchObject({ status: 'COMPLETED', name: 'other' })
    expect(await here.attach('p').status()).toMatchObject({ name: 'other' })
    // The one that found the run there was told which it is.
    for (const handle of [first, same]) {
      for (const ask of ['status', 'describe', 'progress'] as const)
        await expect(handle[ask]()).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
    }
  },
)

test('a handle of a run that was there tells of it, and goes on to the run that retries it', async () => {
  const { tasks, worker, client } = system()
  let fails = true
  const shaky = tasks.bind('shaky', (value: number) => {
    if (fails) throw new Error('no')
    return value
  })
  await worker()
  const [here, there] = [client(), client()]
  const first = await here.submit(shaky, 1, { id: 'p' })
  await expect(first.result({ timeoutMs: PATIENCE_MS })).rejects.toMatchObject({ message: 'no' })
  const same = await there.submit(shaky, 1, { id: 'p' })
  expect(await same.status()).toMatchObject({ status: 'FAILED' })
  fails = false
  const retried = await there.retry('p')
  expect(await retried.result({ timeoutMs: PATIENCE_MS })).toBe(1)
  for (const handle of [first, same, retried]) expect(await handle.status()).toMatchObject({ status: 'COMPLETED' })
})

test('what no owner has taken is pending, and was created at no time', async () => {
  const { tasks, client } = system()
  const echo = tasks.bind('echo', (value: number) => value)
  const status = await (await client().submit(echo, 1)).status()
  expect(status).toMatchObject({ status: 'PENDING' })
  expect(status).not.toHaveProperty('createdAt')
})

test('an answer of an owner that has been replaced is not taken for one of today', async () => {
  const transport = memoryTransport()
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'questions', partitions: 1 })
  const stop = new AbortController()
  // An owner that answers from the states that it is given, the first of which may be an old one.
  const states: { epoch: number; seq: number; answer: string }[][] = [
    [{ epoch: 2, seq: 5, answer: 'first' }],
    [
      { epoch: 1, seq: 9, answer: 'of an older owner' },
      { epoch: 2, seq: 4, answer: 'of an older commit' },
      { epoch: 2, seq: 5, answer: 'second' },
    ],
    [{ epoch: 3, seq: 1, answer: 'third' }],
  ]
  const owning = space.own({ leaseMs: 1_000 }).run(async (session) => {
    while (!stop.signal.aborted) {
      for (const { body } of await session.poll({ max: 1, waitMs: 1_000, signal: stop.signal })) {
        const { replyTo, correlation } = decodeInbox(body) as QueryMessage
        for (const state of states.shift()!) {
          const reply = encodeReply({ type: 'answer', correlation, partition: 0, ...state })
          await space.send([
            { target: { to: 'reply', address: replyTo }, id: `${states.length}${state.answer}`, body: reply },
          ])
        }
      }
    }
  }, stop.signal)
  const replies = new Replies(space, systemClock, silentLogger, 60_000)
  const ask = (): Promise<unknown> => replies.ask(0, { ask: 'status', id: 'p' }, PATIENCE_MS)
  expect([await ask(), await ask(), await ask()]).toEqual(['first', 'second', 'third'])
  stop.abort()
  await owning
  await replies.close()
})

test('many waits may end by one signal, which is listened to while they last', async () => {
  const { client, double } = setup()
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  onTestFinished(() => void process.removeListener('warning', onWarning))
  const submitter = client()
  const runs = await Promise.all(Array.from({ length: 30 }, (_, index) => submitter.submit(double, index)))
  const stop = new AbortController()
  const timedOut = await Promise.allSettled(runs.map((run) => run.result({ timeoutMs: 1, signal: stop.signal })))
  expect(timedOut.every(({ status }) => status === 'rejected')).toBe(true)
  expect(getEventListeners(stop.signal, 'abort').length).toBe(0)
  const waits = runs.map((run) => run.result({ signal: stop.signal }).catch((error: unknown) => error))
  await eventually(() => expect(getEventListeners(stop.signal, 'abort').length).toBe(1))
  stop.abort(new Error('enough'))
  expect(await Promise.all(waits)).toEqual(runs.map(() => new Error('enough')))
  // Warnings come a turn later.
  await new Promise((resolve) => setImmediate(resolve))
  expect(warnings).toEqual([])
})
