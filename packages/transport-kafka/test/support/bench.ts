// A broker, a network before it that breaks, and spaces on both sides.
import type { Send, Space } from '@tasks/core'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import type { KafkaConfig } from 'kafkajs'
import { connect } from 'node:net'
import type { TestContext } from 'vitest'
import { kafkaTransport } from '../../src/index'
import { parseUrl } from '../../src/url'
import { newNamespace, sharedBroker } from './server'

export interface Bench {
  readonly proxy: Proxy
  /** Through the network that breaks. */
  readonly space: Space
  /** Not through it. */
  readonly other: Space
  readonly namespace: string
}

async function openOn(ctx: TestContext, client: KafkaConfig, namespace: string, patienceMs: number): Promise<Space> {
  const transport = kafkaTransport({ connection: client, patienceMs })
  ctx.onTestFinished(() => transport.close())
  return transport.open({ namespace, partitions: 1 })
}

/** Whatever brokers say of their addresses. */
function through(proxy: Proxy): KafkaConfig {
  return {
    brokers: [`127.0.0.1:${proxy.port}`],
    socketFactory: ({ onConnect }) => connect({ port: proxy.port, host: '127.0.0.1' }, onConnect),
  }
}

/** For the one test: several may have theirs at the same time. */
export async function bench(ctx: TestContext, patienceMs = 4_000): Promise<Bench> {
  const { url, port } = sharedBroker(ctx)
  const proxy = await Proxy.to(port)
  ctx.onTestFinished(() => proxy.close())
  const namespace = newNamespace()
  const other = await openOn(ctx, parseUrl(url).client, namespace, 10_000)
  return { proxy, other, namespace, space: await openOn(ctx, through(proxy), namespace, patienceMs) }
}

export function toTask(id: string): Send {
  return { target: { to: 'task', queue: 'q' }, id, body: Buffer.from(id) }
}

export async function received(space: Space, waitMs = 500): Promise<string[]> {
  const batch = await space.consume({ queues: ['q'], leaseMs: 60_000 }).receive({ max: 100, waitMs, suspects: false })
  return batch.map(({ id }) => id)
}
