// What the server keeps of a queue beside its tasks: consumers, and notes of what is settled.
import type { Lease, Send, Space, TaskConsumer } from '@tasks/core'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Server } from '@tasks/dev-config/brokers'
import { natsTransport } from '../src/index'
import { newServer } from './support/server'

const QUEUE = 'tasks+n+queue'

async function openOn(server: Server): Promise<Space> {
  const transport = natsTransport({ url: server.url })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'n', partitions: 1 })
}

async function onServer(server: Server): Promise<NatsConnection> {
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  return client
}

async function ask<T>(client: NatsConnection, path: string, request: object = {}): Promise<T> {
  return (await client.request(`$JS.API.${path}`, JSON.stringify(request))).json<T>()
}

function toTask(id: string): Send {
  return { target: { to: 'task', queue: 'q' }, id, body: Buffer.from(id) }
}

async function ackWaitOf(client: NatsConnection): Promise<number> {
  const { config } = await ask<{ config: { ack_wait: number } }>(client, `CONSUMER.INFO.${QUEUE}.q+0`)
  return config.ack_wait / 1_000_000
}

const now = { max: 100, waitMs: 0, suspects: false }

async function receiveAll(consumer: TaskConsumer, count: number, suspects = false): Promise<string[]> {
  const ids: string[] = []
  while (ids.length < count) {
    const batch = await consumer.receive({ max: 100, waitMs: 10_000, suspects })
    ids.push(...batch.map(({ id }) => id))
    if (suspects)
      await consumer.settle(
        batch.map((lease) => ({ lease, op: 'ack' })),
        [],
      )
    if (batch.length === 0) break
  }
  return ids.sort()
}

test('the lease of a queue on the server is that of whoever came first, whoever creates its consumers', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  const client = await onServer(server)
  await space.consume({ queues: ['q'], leaseMs: 6_000 }).receive(now)
  expect(await ackWaitOf(client)).toBe(6_000)
  // As another process sees it that comes in the same moment: there is no consumer yet.
  await ask(client, `CONSUMER.DELETE.${QUEUE}.q+0`)
  await (await openOn(server)).consume({ queues: ['q'], leaseMs: 500 }).receive(now)
  expect(await ackWaitOf(client)).toBe(6_000)
})

test('refuses a consumer that would hand out a task a few times only', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  const client = await onServer(server)
  await space.consume({ queues: ['q'], leaseMs: 1_000 }).receive(now)
  const { config } = await ask<{ config: object }>(client, `CONSUMER.INFO.${QUEUE}.q+0`)
  await ask(client, `CONSUMER.CREATE.${QUEUE}.q+0.tasks.n.queue.q.0`, {
    stream_name: QUEUE,
    config: { ...config, max_deliver: 5 },
    action: 'update',
  })
  const consumer = (await openOn(server)).consume({ queues: ['q'], leaseMs: 1_000 })
  await expect(consumer.receive(now)).rejects.toMatchObject({
    code: 'TASKS_STORE_UNSAFE',
    message: expect.stringMatching(
      /max_deliver = 5, not none: .*nats consumer edit tasks\+n\+queue q\+0 --max-deliver=-1/,
    ),
  })
})

test('a note of what is settled says nothing of another message that was given the number', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  const client = await onServer(server)
  const ids = Array.from({ length: 64 }, (_, i) => `${i}`.padStart(2, '0'))
  await space.send(ids.map(toTask))
  const first = space.consume({ queues: ['q'], leaseMs: 20_000 })
  // One of the tasks that share each message is settled.
  const leases = []
  while (leases.length < 64) leases.push(...(await first.receive({ max: 100, waitMs: 10_000, suspects: false })))
  const halves = leases.filter((_, i) => i % 2 === 0)
  await first.settle(
    halves.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  const { config } = await ask<{ config: object }>(client, `STREAM.INFO.${QUEUE}`)
  await ask(client, `STREAM.DELETE.${QUEUE}`)
  await ask(client, `STREAM.CREATE.${QUEUE}`, config)
  const other = await openOn(server)
  await other.send(ids.map((id) => toTask(`new ${id}`)))
  // Whoever gets them dies.
  const dying = natsTransport({ url: server.url })
  const dead = (await dying.open({ namespace: 'n' })).consume({ queues: ['q'], leaseMs: 20_000 })
  expect(await receiveAll(dead, 64)).toHaveLength(64)
  for (const level of ['many', '0']) {
    const found = await ask<{ config?: object }>(client, `CONSUMER.INFO.${QUEUE}.q+${level}`)
    const shorter = { ...found.config, ack_wait: 500_000_000 }
    const filter = `tasks.n.queue.q.${level}`
    await ask(client, `CONSUMER.CREATE.${QUEUE}.q+${level}.${filter}`, {
      stream_name: QUEUE,
      config: shorter,
      action: 'update',
    })
  }
  await dying.close()
  const next = other.consume({ queues: ['q'], leaseMs: 20_000 })
  expect(await receiveAll(next, 64, true)).toEqual(ids.map((id) => `new ${id}`))
}, 60_000)

test('what is new comes although the server looks for messages that are gone', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  // The server would know that what is older than its first message is gone.
  await space.send([{ target: { to: 'task', queue: 'other' }, id: 'first', body: Buffer.from('first') }])
  for (let i = 0; i < 40; i++) await space.send([toTask(`${i}`)])
  const consumer = space.consume({ queues: ['q'], leaseMs: 2_000 })
  const leases = []
  while (leases.length < 40) leases.push(...(await consumer.receive({ max: 100, waitMs: 10_000, suspects: false })))
  // As after a crash: the server writes what a consumer knows ten times a second, and removes messages at once.
  await sleep(300)
  const restore = keep(server, 'obs/q+0')
  await consumer.settle(
    leases.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  await end(server)
  restore()
  await server.restart()
  // All of them have run out.
  await sleep(2_000)
  await space.send([toTask('new')])
  expect((await consumer.receive({ max: 1, waitMs: 20_000, suspects: true })).map(({ id }) => id)).toEqual(['new'])
}, 60_000)

test('what is accepted after a power cut is handed out, although its number was that of what was lost', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  await space.send([toTask('first')])
  const holder = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const [first] = await holder.receive({ max: 1, waitMs: 10_000, suspects: false })
  await holder.settle([{ lease: first!, op: 'ack' }], [])
  await end(server)
  const restore = keep(server, 'msgs')
  await server.restart()
  for (const id of ['a', 'b', 'c']) await space.send([toTask(id)])
  const held: Lease[] = []
  while (held.length < 3) held.push(...(await holder.receive({ max: 3, waitMs: 10_000, suspects: false })))
  // What consumers know is written more often than messages are synced.
  await end(server)
  restore()
  await server.restart()
  expect(await holder.receive(now)).toEqual([])
  await space.send([toTask('new')])
  await holder.settle(
    held.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  const other = (await openOn(server)).consume({ queues: ['q'], leaseMs: 60_000 })
  expect(await receiveAll(other, 1)).toEqual(['new'])
}, 60_000)

/** Keeps what the server has stored of the queue, and puts it back. */
function keep(server: Server, part: string): () => void {
  const folder = join(server.folder, 'data/jetstream/$G/streams', QUEUE, part)
  cpSync(folder, `${server.folder}/kept`, { recursive: true })
  return () => {
    rmSync(folder, { recursive: true })
    renameSync(`${server.folder}/kept`, folder)
  }
}

async function end(server: Server): Promise<void> {
  server.kill('SIGTERM')
  while (isAlive(server.pid())) await sleep(10)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
