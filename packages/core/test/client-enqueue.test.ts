import { expect, test } from 'vitest'
import { taskContext } from '../src/context'
import type { TaskError } from '../src/errors'
import { virtualClock } from '../src/testing/virtual-clock'
import { eventually, PATIENCE_MS, system } from './support/system'

const waiting = { timeoutMs: PATIENCE_MS }
const HOUR_MS = 3_600_000

test('delayMs and runAt start a lone task when its time has come, though nobody was there when it was sent', async () => {
  const clock = virtualClock()
  const { tasks, worker, client } = system({ clock })
  const began = clock.now()
  const starts: unknown[] = []
  const note = tasks.bind('note', (name: string) => {
    starts.push([name, clock.now() - began])
  })
  const first = await worker({ leaseMs: 10 * HOUR_MS })
  const sender = client()
  await sender.enqueue(note, 'in an hour', { delayMs: HOUR_MS })
  await sender.enqueue(note, 'by a date', { runAt: new Date(began + 2 * HOUR_MS) })
  await sender.enqueue(note, 'by a number', { runAt: began + 3 * HOUR_MS })
  await sender.enqueue(note, 'in the past', { runAt: began - HOUR_MS })
  await sender.enqueueMany(note, ['one of many', 'another of many'], { delayMs: 4 * HOUR_MS })
  await clock.advance(10)
  await first.close()
  await worker({ leaseMs: 10 * HOUR_MS })
  await clock.advance(5 * HOUR_MS)
  expect(starts.slice(0, 4)).toEqual([
    ['in the past', 0],
    ['in an hour', HOUR_MS],
    ['by a date', 2 * HOUR_MS],
    ['by a number', 3 * HOUR_MS],
  ])
  expect(new Set(starts.slice(4))).toEqual(
    new Set([
      ['one of many', 4 * HOUR_MS],
      ['another of many', 4 * HOUR_MS],
    ]),
  )
})

test('one with an id runs once however often it is sent, and is found again', async () => {
  const { tasks, worker, client } = system()
  let starts = 0
  const double = tasks.bind('double', (value: number) => {
    starts++
    return 2 * value
  })
  await worker()
  const [here, there] = [client(), client()]
  for (const sender of [here, there, here]) await sender.enqueue(double, 4, { id: 'four' })
  expect(await there.attach('four').result(waiting)).toBe(8)
  expect(starts).toBe(1)
  expect(await here.status('four')).toMatchObject({ status: 'COMPLETED', done: 1 })
  const other = await there
    .enqueue(double, 5, { id: 'four' })
    .then(
      (handle) => handle.result(waiting),
      (error: unknown) => Promise.reject(error as Error),
    )
    .catch((error: unknown) => error)
  expect(other).toMatchObject({ code: 'TASKS_ID_CONFLICT' })
})

test('a result that is kept can be asked for from anywhere; one that nobody asked for is kept by nobody', async () => {
  const { tasks, worker, client } = system()
  const double = tasks.bind('double', (value: number) => 2 * value)
  await worker()
  const [here, there] = [client(), client()]
  const kept = await here.enqueue(double, 4, { keepResult: true })
  expect(await there.attach(kept.id).result(waiting)).toBe(8)
  const forgotten = await here.enqueue(double, 4)
  await expect(forgotten.result(waiting)).rejects.toMatchObject({
    code: 'TASKS_UNSUPPORTED',
    message: expect.stringContaining('{ reply: true }') as string,
  })
  expect(await here.status(forgotten.id)).toBeUndefined()
})

test('queue, priority and meta are those of the call; else those that the task was bound with', async () => {
  const { tasks, worker, client } = system()
  const seen: unknown[] = []
  const note = tasks.bind(
    'note',
    (name: string) => {
      seen.push([name, taskContext().meta['by']])
    },
    { queue: 'bound' },
  )
  const sender = client()
  await sender.enqueue(note, 'bound')
  await sender.enqueue(note, 'of the call', { queue: 'called', meta: { by: 'me' } })
  await sender.enqueueMany(note, ['low 1', 'low 2'], { queue: 'called', priority: 1 })
  await sender.enqueueMany(note, ['high'], { queue: 'called', priority: 9 })
  const called = await worker({ queues: ['called'], concurrency: 1, localLane: false })
  await eventually(() => expect(seen).toHaveLength(4))
  expect(seen).toEqual([
    ['high', undefined],
    ['low 1', undefined],
    ['low 2', undefined],
    ['of the call', 'me'],
  ])
  await called.close()
  await worker()
  await eventually(() => expect(seen[4]).toEqual(['bound', undefined]))
})

test.each([
  ['lone', {}],
  ['kept', { keepResult: true }],
])('of many that could not all be sent, the error tells which were: %s', async (_, options) => {
  const { tasks, client, connect } = system()
  const note = tasks.bind('note', (_value: number) => undefined)
  const stored = new Set<string>()
  let sends = 0
  const send = ({ id }: { readonly id: string }) => {
    if (sends++ === 700) return 'refused' as const
    stored.add(id)
    return undefined
  }
  const transport = connect({ faults: { send } })
  const inputs = Array.from({ length: 2_200 }, (_value, index) => index)
  const error = await client({}, transport)
    .enqueueMany(note, inputs, options)
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({
    name: 'TaskError',
    message: expect.stringContaining('; 1499 of 2200 tasks have been sent') as string,
  })
  const { ids } = (error as TaskError).details as { readonly ids: readonly (string | null)[] }
  // Three parts of 500: the last was on its way when the second failed, and the fourth was not tried.
  expect(ids.map((id, index) => (id === null ? index : -1)).filter((index) => index >= 0)).toEqual([700])
  expect(ids.length).toBe(1_500)
  expect(ids.filter((id) => id !== null).length).toBe(stored.size)
  expect(sends).toBe(1_500)
})

test('of many none of which could be sent, the error is that of the first', async () => {
  const { tasks, client } = system()
  const note = tasks.bind('note', (_value: unknown) => undefined)
  await expect(client().enqueueMany(note, [() => 1, 2])).rejects.toMatchObject({
    code: 'TASKS_UNENCODABLE',
    message: expect.not.stringContaining('have been sent') as string,
  })
})

test('how long a kept result is kept can be said', async () => {
  const clock = virtualClock()
  const { tasks, worker, client } = system({ clock })
  const double = tasks.bind('double', (value: number) => 2 * value)
  await worker()
  const sender = client()
  const { id } = await sender.enqueue(double, 4, { keepResult: true, retentionMs: HOUR_MS })
  await clock.advance(HOUR_MS / 2)
  expect(await sender.status(id)).toMatchObject({ status: 'COMPLETED' })
  await clock.advance(HOUR_MS)
  expect(await sender.status(id)).toBeUndefined()
})
