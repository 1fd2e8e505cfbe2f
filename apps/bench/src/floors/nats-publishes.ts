// The floor of NATS: its client library itself, on the same server, publishing messages as large as a task's to a stream, each acknowledged.
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { costOfAsync } from '../cost'
import { encodeTaskEnvelope } from './envelopes'
import type { Floors } from './floor'

const UNDER_WAY = 500
const TIMEOUT_MS = 20_000

export function natsFloors(url: string): Floors {
  const name = `floor-${process.pid}-${Date.now().toString(36)}`
  const value = encodeTaskEnvelope(12_345)
  let connected: Promise<NatsConnection> | undefined

  const open = async (): Promise<NatsConnection> => {
    const client = await connect({ servers: url.replace(/\?.*/, ''), noAsyncTraces: true })
    const config = { name, subjects: [name], storage: 'file', retention: 'workqueue' }
    await client.request(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify(config), { timeout: TIMEOUT_MS })
    return client
  }

  const publish = async (client: NatsConnection): Promise<void> => {
    const answer = await client.request(name, value, { timeout: TIMEOUT_MS })
    if (answer.json<{ error?: unknown }>().error !== undefined) throw new Error(answer.string())
  }

  return {
    items: {
      title: `messages of ${value.length} bytes published by the client library, each acknowledged, ${UNDER_WAY} under way`,
      async run(count) {
        const client = await (connected ??= open())
        let left = count
        const one = async (): Promise<void> => {
          while (left-- > 0) await publish(client)
        }
        return costOfAsync(() => Promise.all(Array.from({ length: UNDER_WAY }, one)))
      },
    },
    steps: {
      title: `one message of ${value.length} bytes published and acknowledged at a time`,
      async run(count) {
        const client = await (connected ??= open())
        return costOfAsync(async () => {
          for (let i = 0; i < count; i++) await publish(client)
        })
      },
    },
    close() {
      void connected?.then(async (client) => {
        await client.request(`$JS.API.STREAM.DELETE.${name}`, '', { timeout: TIMEOUT_MS })
        await client.close()
      })
    },
  }
}
