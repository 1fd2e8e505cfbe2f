// Tasks that share a message of the server, because one call sent very many: each is leased, settled and counted alone all the same.
import type { Lease, Send, Space, TaskConsumer } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { connect } from '@nats-io/transport-node'
import { expect, onTestFinished, test } from 'vitest'
import { natsTransport } from '../src/index'
import { newServer } from './support/server'

const COUNT = 256
const LEASE_MS = 1_500
const PATIENCE_MS = 15_000

interface Streams {
  readonly messages: number
  readonly notes: number
}

async function openOn({ url }: Server): Promise<Space> {
  const transport = natsTransport({ url })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'n', partitions: 1 })
}

async function sendMany(space: Space): Promise<void> {
  const sends = Array.from({ length: COUNT }, (_, i): Send => ({
    target: { to: 'task', queue: 'q' },
    id: `t${i}`,
    body: Buffer.from(`body ${i}`),
  }))
  for (const outcome of await space.send(sends)) expect(outcome.ok).toBe(true)
}

/** What there is in the stream of the queue, and how many messages are noted to be partly settled. */
async function look({ url }: Server): Promise<Streams> {
  const client = await connect({ servers: url })
  try {
    const ask = async (stream: string, request: object) =>
      (await client.request(`$JS.API.STREAM.INFO.tasks+n+${stream}`, JSON.stringify(request))).json<{
        state: { messages: number; subjects?: Record<string, number> }
      }>()
    const { state } = await ask('state', { subjects_filter: 'tasks.n.state.settled.*' })
    const queue = await ask('queue', {})
    return { messages: queue.state.messages, notes: Object.keys(state.subjects ?? {}).length }
  } finally {
    await client.close()
  }
}

/** Receives until so many have come. */
async function collect(consumer: TaskConsumer, count: number, suspects = false, max = COUNT): Promise<Lease[]> {
  const leases: Lease[] = []
  const until = performance.now() + PATIENCE_MS
  while (leases.length < count && performance.now() < until) {
    const batch = await consumer.receive({ max, waitMs: 1_000, suspects })
    expect(batch.filter(({ deliveries }) => deliveries > 1).length).toBeLessThanOrEqual(1)
    leases.push(...batch)
    if (suspects) await settle(consumer, batch)
  }
  return leases
}

function settle(consumer: TaskConsumer, leases: readonly Lease[]): Promise<void> {
  return consumer.settle(
    leases.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
}

function idsOf(leases: readonly Lease[]): string[] {
  return leases.map(({ id }) => id).sort()
}

test('what was settled never comes again when its worker dies; the rest does, counted, one suspect at a time', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  await sendMany(space)
  expect((await look(server)).messages).toBeLessThan(COUNT / 4)
  const doomed = space.consume({ queues: ['q'], leaseMs: LEASE_MS })
  const leases = await collect(doomed, COUNT)
  for (const { id, body } of leases) expect(String(body)).toBe(`body ${id.slice(1)}`)
  // All but some, and in two parts: what is settled later is added to what was before.
  const left = leases.filter((_, i) => i % 16 === 5)
  const done = leases.filter((lease) => !left.includes(lease))
  await settle(doomed, done.slice(0, 100))
  await settle(doomed, done.slice(100))
  expect((await look(server)).notes).toBeGreaterThan(0)
  const other = (await openOn(server)).consume({ queues: ['q'], leaseMs: LEASE_MS * 20 })
  const again = await collect(other, left.length, true)
  expect(idsOf(again)).toEqual(idsOf(left))
  expect(again.map(({ deliveries }) => deliveries)).toEqual(again.map(() => 2))
  expect(await other.receive({ max: COUNT, waitMs: LEASE_MS / 2, suspects: true })).toEqual([])
  await expect.poll(() => look(server), { timeout: PATIENCE_MS }).toEqual({ messages: 0, notes: 0 })
}, 60_000)

test('a lease of one that is not extended runs out alone', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  await sendMany(space)
  const consumer = space.consume({ queues: ['q'], leaseMs: LEASE_MS })
  const leases = await collect(consumer, COUNT)
  const [forgotten, ...kept] = leases
  const extending = setInterval(() => void consumer.extend(kept), LEASE_MS / 4)
  onTestFinished(() => clearInterval(extending))
  const other = (await openOn(server)).consume({ queues: ['q'], leaseMs: LEASE_MS * 20 })
  const [suspect] = await collect(other, 1, true)
  expect(suspect).toMatchObject({ id: forgotten!.id, deliveries: 2 })
  expect(String(suspect!.body)).toBe(`body ${forgotten!.id.slice(1)}`)
  expect(await other.receive({ max: COUNT, waitMs: LEASE_MS / 2, suspects: true })).toEqual([])
  await settle(consumer, kept)
  clearInterval(extending)
  await expect.poll(() => look(server), { timeout: PATIENCE_MS }).toEqual({ messages: 0, notes: 0 })
}, 60_000)

test('a worker with one hand keeps none of the others from those who are free', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server)
  await sendMany(space)
  const slow = space.consume({ queues: ['q'], leaseMs: LEASE_MS * 60 })
  const [held] = await collect(slow, 1, false, 1)
  const free = (await openOn(server)).consume({ queues: ['q'], leaseMs: LEASE_MS * 60 })
  const rest = await collect(free, COUNT - 1)
  expect(new Set(idsOf([held!, ...rest])).size).toBe(COUNT)
  expect(rest.map(({ deliveries }) => deliveries)).toEqual(rest.map(() => 1))
  // Some are given back, one is a dead letter: each goes its own way.
  const [returned, dead] = rest
  const letter = { reason: 'failed', message: 'm', source: 'q' }
  await free.settle(
    [
      { lease: returned!, op: 'return', delayMs: 0 },
      { lease: dead!, op: 'dead', letter },
    ],
    [],
  )
  expect(await collect(free, 1)).toMatchObject([{ id: returned!.id, deliveries: 1 }])
  expect(await space.dead.list({ limit: 10 })).toMatchObject([{ info: letter, body: dead!.body }])
  expect(await space.backlog('q')).toBeUndefined()
}, 60_000)
