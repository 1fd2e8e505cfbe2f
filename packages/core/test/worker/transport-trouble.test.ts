import { expect, test, vi } from 'vitest'
import { taskContext } from '../../src/context'
import { TaskError } from '../../src/errors'
import type { Transport } from '../../src/transport'
import { eventually, PATIENCE_MS, system } from '../support/system'

// Enough on a machine that is busy with something else.
vi.setConfig({ testTimeout: 60_000 })

const waiting = { timeoutMs: PATIENCE_MS }
/** Above what a message carries. */
const large = 'x'.repeat(200_000)
const lanes = [
  ['handed over by its owner', true],
  ['from the queue', false],
] as const

test.each(lanes)('a task %s does not fail because a blob could not be read or stored for a moment', async (_, lane) => {
  const { tasks, worker, client, connect } = system()
  let starts = 0
  const echo = tasks.bind('echo', (value: string) => {
    starts++
    return value
  })
  const left = { get: 3, put: 3 }
  const faulty = connect({ faults: { blob: ({ op }) => (left[op]-- > 0 ? 'lost' : undefined) } })
  await worker({ localLane: lane }, faulty)
  const run = await client().submit(echo, large)
  expect(await run.result(waiting)).toBe(large)
  expect(starts).toBe(1)
  expect(Math.max(left.get, left.put)).toBeLessThan(0)
})

test.each(lanes)('a task %s whose argument cannot be fetched is given back, and did not fail', async (_, lane) => {
  const { tasks, worker, client, connect } = system()
  const attempts: number[] = []
  const size = tasks.bind('size', (value: string) => {
    attempts.push(taskContext().attempt)
    return value.length
  })
  let asked = 0
  let broken = true
  const faulty = connect({ faults: { blob: () => (asked++, broken ? 'lost' : undefined) } })
  await worker({ localLane: lane }, faulty)
  const run = await client().submit(size, large)
  // More often than one start asks.
  await eventually(() => expect(asked).toBeGreaterThan(7))
  broken = false
  expect(await run.result(waiting)).toBe(large.length)
  expect(attempts).toEqual([1])
})

test('a task whose result cannot be stored runs again, and did not fail', async () => {
  const { tasks, worker, client, connect } = system()
  const attempts: number[] = []
  const grow = tasks.bind('grow', (letter: string) => {
    attempts.push(taskContext().attempt)
    return letter.repeat(200_000)
  })
  let broken = true
  const faulty = connect({ faults: { blob: () => (broken ? 'lost' : undefined) } })
  await worker({}, faulty)
  const run = await client().submit(grow, 'x')
  await eventually(() => expect(attempts.length).toBeGreaterThan(1))
  broken = false
  expect(await run.result(waiting)).toBe(large)
  expect(new Set(attempts)).toEqual(new Set([1]))
  expect(await run.status()).toMatchObject({ status: 'COMPLETED', attempts: 1 })
})

test('a task whose time is limited has all of it, however long its argument took to fetch', async () => {
  const { tasks, worker, client, connect } = system()
  const size = tasks.bind('size', async (value: string) => value.length, { timeoutMs: 200 })
  let left = 5
  const faulty = connect({ faults: { blob: () => (left-- > 0 ? 'lost' : undefined) } })
  await worker({}, faulty)
  expect(await (await client().submit(size, large)).result(waiting)).toBe(large.length)
})

test('a blob that is gone fails its task', async () => {
  const { tasks, worker, client, connect } = system()
  const size = tasks.bind('size', (value: string) => value.length)
  const run = await client().submit(size, large, { id: 'gone' })
  const space = await connect().open({ namespace: 'test' })
  await space.blobs.drop('gone/')
  await worker()
  await expect(run.result(waiting)).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
})

test('tasks of this process go on while nothing can be received from the queues', async () => {
  const { tasks, worker, client, connect } = system()
  const next = tasks.bind('next', async (value: number) => value + 1)
  await worker({ localLane: true, concurrency: 1 }, connect({ faults: { receive: () => 'lost' } }))
  // One at a time: what has no room here goes to a queue.
  let chain = next.send(0)
  for (let step = 1; step < 20; step++) chain = chain.continueWith(next)
  expect(await (await client().submit(chain)).result(waiting)).toBe(20)
})

test.each([
  ['fails every call', 'fails'],
  ['answers no call', 'hangs'],
] as const)(
  'a worker closes though its transport %s',
  async (_, how) => {
    const { tasks, worker, client, connect } = system()
    let started = 0
    const stuck = tasks.bind('stuck', () => {
      started++
      return new Promise<void>(() => undefined)
    })
    const transport = connect()
    const trouble = troubled(transport)
    const running = await worker({ leaseMs: 500, concurrency: 4 }, transport)
    const submitter = client()
    for (let index = 0; index < 8; index++) await submitter.submit(stuck.send())
    await eventually(() => expect(started).toBe(4))
    trouble.begins(how)
    const began = performance.now()
    await running.close({ drainMs: 100 })
    expect(performance.now() - began).toBeLessThan(PATIENCE_MS)
  },
  60_000,
)

/** Makes every call to this transport fail, or never answer, once it begins. `close` works still, as closing a socket does. */
function troubled(transport: Transport): { begins(how: 'fails' | 'hangs'): void } {
  let trouble: 'fails' | 'hangs' | undefined
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(of, name) {
        const value: unknown = Reflect.get(of, name)
        if (typeof value === 'object' && value !== null && (name === 'blobs' || name === 'dead')) return wrap(value)
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          if (name === 'own' || name === 'consume') return wrap((value as () => object).apply(of, args as []))
          if (name === 'run') {
            const [onOwned, signal] = args as [(session: object) => Promise<void>, AbortSignal]
            return (value as (...args: unknown[]) => unknown).call(
              of,
              (session: object) => onOwned(wrap(session)),
              signal,
            )
          }
          if (trouble === undefined || name === 'close' || name === 'onSignal') return value.apply(of, args)
          if (trouble === 'hangs') return new Promise(() => undefined)
          return Promise.reject(new TaskError('TASKS_UNAVAILABLE', `${String(name)}: a fault that was asked for`))
        }
      },
    })
  const open = transport.open.bind(transport)
  transport.open = async (options) => wrap(await open(options))
  return { begins: (how) => void (trouble = how) }
}
