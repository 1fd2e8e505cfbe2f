// A broker, a network before it that breaks, and spaces on both sides.
import type { Send, Space } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import type { KafkaConfig } from 'kafkajs'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { kafkaTransport } from '../../src/index'
import { parseUrl } from '../../src/url'

export interface Bench {
  readonly proxy: Proxy
  /** Through the network that breaks. */
  readonly space: Space
  /** Not through it. */
  readonly other: Space
  readonly namespace: string
}

let namespaces = 0

async function openOn(client: KafkaConfig, namespace: string, patienceMs: number): Promise<Space> {
  const transport = kafkaTransport({ connection: client, patienceMs })
  onTestFinished(() => transport.close())
  return transport.open({ namespace, partitions: 1 })
}

/** Whatever brokers say of their addresses. */
function through(proxy: Proxy): KafkaConfig {
  return {
    brokers: [`127.0.0.1:${proxy.port}`],
    socketFactory: ({ onConnect }) => connect({ port: proxy.port, host: '127.0.0.1' }, onConnect),
  }
}

export async function bench(server: Server, patienceMs = 4_000): Promise<Bench> {
  const proxy = await Proxy.to(server.port)
  onTestFinished(() => proxy.close())
  const namespace = `traps-${++namespaces}`
  const other = await openOn(parseUrl(server.url).client, namespace, 10_000)
  return { proxy, other, namespace, space: await openOn(through(proxy), namespace, patienceMs) }
}

export function toTask(id: string): Send {
  return { target: { to: 'task', queue: 'q' }, id, body: Buffer.from(id) }
}

export async function received(space: Space, waitMs = 500): Promise<string[]> {
  const batch = await space.consume({ queues: ['q'], leaseMs: 60_000 }).receive({ max: 100, waitMs, suspects: false })
  return batch.map(({ id }) => id)
}
