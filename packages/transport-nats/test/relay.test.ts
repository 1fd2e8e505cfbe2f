// Streams that take nothing.
import { own } from '@tasks/conformance/vitest'
import { connect } from '@nats-io/transport-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { natsTransport } from '../src/index'
import { newServer } from './support/server'

const KIB = 1024

test('a commit waits while many bytes of sends wait for a stream that takes none, and loses nothing', async (ctx) => {
  const server = await newServer(ctx)
  const transport = natsTransport({ url: server.url, patienceMs: 2_000 })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'n', partitions: 1 })
  const client = await connect({ servers: server.url })
  onTestFinished(() => client.close())
  const { config } = (await client.request('$JS.API.STREAM.INFO.tasks+n+queue', '')).json<{ config: object }>()
  await client.request('$JS.API.STREAM.DELETE.tasks+n+queue', '')
  const { session } = await own(space)
  const commit = (seq: number): Promise<void> =>
    session.commit({
      seq,
      time: seq,
      rows: new Map(),
      sends: Array.from({ length: 20 }, (_, i) => ({
        target: { to: 'task', queue: 'q' },
        id: `${seq}.${i}`,
        body: Buffer.alloc(900 * KIB),
      })),
    })
  await commit(1)
  await commit(2)
  let isThird = false
  const third = commit(3).then(() => (isThird = true))
  await sleep(1_000)
  expect(isThird).toBe(false)
  await client.request('$JS.API.STREAM.CREATE.tasks+n+queue', JSON.stringify(config))
  await third
  const stored = async (): Promise<number> =>
    (await client.request('$JS.API.STREAM.INFO.tasks+n+queue', '')).json<{ state: { messages: number } }>().state
      .messages
  await expect.poll(stored, { timeout: 20_000 }).toBe(60)
}, 60_000)
