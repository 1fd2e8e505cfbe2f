import { setTimeout as sleep } from 'node:timers/promises'
import type { Lease, Space, TaskConsumer } from '@tasks/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Database } from '../src/driver'
import { chooseDriver } from '../src/driver'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'

const LEASE_MS = 150

async function setup(): Promise<{ space: Space; consumer: TaskConsumer; other: TaskConsumer; db: Database }> {
  const path = newPath()
  const transport = sqliteTransport({ path })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'n' })
  const consume = (leaseMs: number): TaskConsumer => space.consume({ queues: ['q'], leaseMs })
  const db = chooseDriver().open(path)
  onTestFinished(() => db.close())
  return { space, consumer: consume(LEASE_MS), other: consume(60_000), db }
}

async function send(space: Space, ...ids: string[]): Promise<void> {
  await space.send(ids.map((id) => ({ target: { to: 'task', queue: 'q' }, id, body: new Uint8Array(10) })))
}

function receive(consumer: TaskConsumer, suspects = false, waitMs = 0): Promise<readonly Lease[]> {
  return consumer.receive({ max: 10, waitMs, suspects })
}

function left(db: Database): Record<string, number> {
  const count = (table: string): number => (db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n
  return Object.fromEntries(['message', 'ready', 'suspect', 'delayed', 'lease'].map((table) => [table, count(table)]))
}

const NOTHING = { message: 0, ready: 0, suspect: 0, delayed: 0, lease: 0 }

describe('a lease', () => {
  test('that ran out may still be settled while nobody else has the task', async () => {
    const { space, consumer, other, db } = await setup()
    await send(space, 'a', 'b')
    const [a, b] = await receive(consumer)
    await sleep(LEASE_MS * 2)
    expect(left(db)).toMatchObject({ suspect: 2, lease: 0 })
    const [suspect] = await receive(other, true)
    expect(suspect!.id).toBe('a')
    await consumer.settle(
      [a!, b!].map((lease) => ({ lease, op: 'ack' })),
      [],
    )
    expect(left(db)).toEqual({ message: 1, ready: 0, suspect: 0, delayed: 0, lease: 1 })
    await other.settle([{ lease: suspect!, op: 'ack' }], [])
    expect(left(db)).toEqual(NOTHING)
  })

  test('that ran out may still be extended while nobody else has the task, and counts once', async () => {
    const { space, consumer, other } = await setup()
    await send(space, 'a')
    const leases = await receive(consumer)
    await sleep(LEASE_MS * 2)
    await consumer.extend(leases)
    expect(await receive(other, true)).toEqual([])
    const [again] = await receive(other, true, 2000)
    expect(again).toMatchObject({ id: 'a', deliveries: 2 })
  })

  test('is extended for those of a batch that are named, and the others come back', async () => {
    const { space, consumer, other, db } = await setup()
    await send(space, 'a', 'b')
    const [a, b] = await receive(consumer)
    const until = performance.now() + LEASE_MS * 3
    const back: string[] = []
    while (performance.now() < until) {
      await consumer.extend([a!])
      back.push(...(await receive(other, true, LEASE_MS / 4)).map(({ id }) => id))
    }
    expect(back).toEqual(['b'])
    await consumer.settle(
      [a!, b!].map((lease) => ({ lease, op: 'ack' })),
      [],
    )
    expect(left(db)).toEqual({ message: 1, ready: 0, suspect: 0, delayed: 0, lease: 1 })
  })

  test('is gone with the last of its batch, however they are settled', async () => {
    const { space, other, db } = await setup()
    await send(space, 'a', 'b', 'c', 'd')
    const [a, b, c, d] = await receive(other)
    const letter = { reason: 'failed', message: 'm', source: 'q' }
    await Promise.all([
      other.settle([{ lease: a!, op: 'ack' }], []),
      other.settle([{ lease: b!, op: 'return', delayMs: 0 }], []),
      other.settle([{ lease: c!, op: 'return', delayMs: 60_000 }], []),
      other.settle([{ lease: d!, op: 'dead', letter }], []),
    ])
    expect(left(db)).toEqual({ message: 2, ready: 1, suspect: 0, delayed: 1, lease: 0 })
    // Stale by now, all of them.
    await other.settle(
      [a!, b!, c!, d!].map((lease) => ({ lease, op: 'ack' })),
      [],
    )
    expect(left(db)).toEqual({ message: 2, ready: 1, suspect: 0, delayed: 1, lease: 0 })
  })

  test('of a returned task forgets it, and does not bring it back twice', async () => {
    const { space, consumer, other, db } = await setup()
    await send(space, 'a', 'b')
    const [a] = await receive(consumer)
    await consumer.settle([{ lease: a!, op: 'return', delayMs: 0 }], [])
    const again = await receive(other)
    expect(again.map(({ id, deliveries }) => [id, deliveries])).toEqual([['a', 1]])
    await sleep(LEASE_MS * 2)
    expect(left(db)).toEqual({ message: 2, ready: 0, suspect: 1, delayed: 0, lease: 1 })
  })
})

describe('receiving', () => {
  test('takes a lease of any length, whole milliseconds or not', async () => {
    const { space } = await setup()
    await send(space, 'a')
    const consumer = space.consume({ queues: ['q'], leaseMs: 10_000 / 3 })
    const leases = await receive(consumer)
    expect(leases.map(({ id }) => id)).toEqual(['a'])
    await consumer.extend(leases)
  })

  test('takes from more queues than SQLite joins in one SELECT', async () => {
    const { space } = await setup()
    const queues = Array.from({ length: 1_201 }, (_, i) => `q${i}`)
    const task = (queue: string, priority: number): Parameters<Space['send']>[0][number] => ({
      target: { to: 'task', queue, priority },
      id: queue,
      body: new Uint8Array(),
    })
    await space.send([task('q0', 0), task('q600', 1), task('q1200', 9)])
    const leases = await receive(space.consume({ queues, leaseMs: 60_000 }))
    expect(leases.map(({ id }) => id)).toEqual(['q1200', 'q600', 'q0'])
  })

  test('takes the higher priorities of all queues first, and the oldest of each', async () => {
    const { space } = await setup()
    const task = (queue: string, priority: number, id: string): Parameters<Space['send']>[0][number] => ({
      target: { to: 'task', queue, priority },
      id,
      body: new Uint8Array(),
    })
    await space.send([
      task('a', 0, '1'),
      task('b', 5, '2'),
      task('a', 5, '3'),
      task('b', 0, '4'),
      task('a', 99, '5'),
      task('b', -1, '6'),
    ])
    const consumer = space.consume({ queues: ['a', 'b', 'b'], leaseMs: 1000 })
    const first = await consumer.receive({ max: 4, waitMs: 0, suspects: false })
    expect(first.map(({ queue, id }) => queue + id)).toEqual(['a5', 'b2', 'a3', 'a1'])
    const second = await consumer.receive({ max: 4, waitMs: 0, suspects: false })
    expect(second.map(({ queue, id }) => queue + id)).toEqual(['b4', 'b6'])
  })

  test('stops at a batch that would not fit into memory', async () => {
    const { space, other } = await setup()
    const body = new Uint8Array(10 * 2 ** 20)
    await space.send(Array.from({ length: 10 }, (_, i) => ({ target: { to: 'task', queue: 'q' }, id: `${i}`, body })))
    const sizes: number[] = []
    for (let got = 0; got < 10; got += sizes.at(-1)!) sizes.push((await receive(other)).length)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(6)
  })

  test('waits in many places at once without a warning', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error): void => void warnings.push(warning)
    process.on('warning', listen)
    onTestFinished(() => void process.off('warning', listen))
    const { space, other } = await setup()
    const stop = new AbortController()
    const owning = space.own({ leaseMs: 60_000 }).run(async (session) => {
      while (!session.lost.aborted) await session.poll({ max: 10, waitMs: 60_000 })
    }, stop.signal)
    const receiving = Array.from({ length: 20 }, () => receive(other, true, 100))
    expect((await Promise.all(receiving)).flat()).toEqual([])
    stop.abort()
    await owning
    expect(warnings).toEqual([])
  })
})
