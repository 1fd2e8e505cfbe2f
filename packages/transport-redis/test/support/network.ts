// A transport, and a network between it and its server that breaks on purpose.
import type { Send, Space } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import { Redis } from 'ioredis'
import type { TestContext } from 'vitest'
import { onTestFinished } from 'vitest'
import type { RedisTransportOptions } from '../../src/index'
import { redisTransport } from '../../src/index'
import type { Script } from '../../src/script'
import { newServer } from './server'

export interface Bench {
  readonly server: Server
  readonly proxy: Proxy
  /** Through the network that breaks. */
  readonly space: Space
  /** Not through it. */
  readonly other: Space
}

/** @param scripts what the server is to know: otherwise the call that breaks may be one of a script that it does not know */
export async function bench(
  ctx: TestContext,
  scripts: readonly Script[],
  options: RedisTransportOptions = {},
): Promise<Bench> {
  const server = await newServer(ctx)
  const client = onServer(server)
  for (const { source } of scripts) await client.script('LOAD', source)
  const proxy = await proxyTo(server)
  return { server, proxy, space: await openOn(urlOf(proxy), options), other: await openOn(server.url) }
}

export async function openOn(url: string, options: RedisTransportOptions = {}): Promise<Space> {
  const transport = redisTransport({ url, patienceMs: 2_000, ...options })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'traps', partitions: 1 })
}

export async function proxyTo(server: Server): Promise<Proxy> {
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  return proxy
}

export function urlOf({ port }: Proxy): string {
  return `redis://127.0.0.1:${port}`
}

/** A client of the test's own. */
export function onServer({ url }: Server): Redis {
  // It may outlive its server.
  const client = new Redis(url).on('error', () => {})
  onTestFinished(() => client.disconnect())
  return client
}

export function toTask(id: string, queue = 'q'): Send {
  return { target: { to: 'task', queue }, id, body: Buffer.from(id) }
}

export function toInbox(id: string): Send {
  return { target: { to: 'inbox', partition: 0 }, id, body: Buffer.from(id) }
}

/** What is in the queue, and comes back to it within the time. */
export async function received(
  space: Space,
  {
    leaseMs = 60_000,
    ...options
  }: {
    readonly suspects?: boolean
    readonly waitMs?: number
    readonly max?: number
    readonly leaseMs?: number
  } = {},
): Promise<string[]> {
  const batch = await space
    .consume({ queues: ['q'], leaseMs })
    .receive({ max: 100, waitMs: 0, suspects: false, ...options })
  return batch.map(({ id }) => id)
}
