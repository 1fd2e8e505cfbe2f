// The floor of NATS: its client library itself, on the same server, with messages as large as a task's: published to a stream and acknowledged, or consumed from one, and acknowledged.
import type { NatsConnection } from '@nats-io/transport-node'
import { connect, createInbox } from '@nats-io/transport-node'
import { costOfAsync } from '../cost'
import { encodeTaskEnvelope } from './envelopes'
import type { Floors } from './floor'

const UNDER_WAY = 500
const TIMEOUT_MS = 20_000
const EXPIRES_NS = 5_000_000_000
const ACK = Buffer.from('+ACK')

export function natsFloors(url: string): Floors {
  const name = `floor-${process.pid}-${Date.now().toString(36)}`
  const consumed = `${name}-consumed`
  const value = encodeTaskEnvelope(12_345)
  let connected: Promise<NatsConnection> | undefined

  const ask = async (client: NatsConnection, path: string, request: object): Promise<void> => {
    const answer = await client.request(`$JS.API.${path}`, JSON.stringify(request), { timeout: TIMEOUT_MS })
    if (answer.json<{ error?: unknown }>().error !== undefined) throw new Error(answer.string())
  }

  const open = async (): Promise<NatsConnection> => {
    const client = await connect({ servers: url.replace(/\?.*/, ''), noAsyncTraces: true })
    for (const stream of [name, consumed])
      await ask(client, `STREAM.CREATE.${stream}`, {
        name: stream,
        subjects: [stream],
        storage: 'file',
        retention: 'workqueue',
      })
    const config = { durable_name: 'c', ack_policy: 'explicit', max_ack_pending: -1 }
    await ask(client, `CONSUMER.DURABLE.CREATE.${consumed}.c`, { stream_name: consumed, config })
    return client
  }

  const publish = async (client: NatsConnection, subject: string): Promise<void> => {
    const answer = await client.request(subject, value, { timeout: TIMEOUT_MS })
    if (answer.json<{ error?: unknown }>().error !== undefined) throw new Error(answer.string())
  }

  const publishMany = async (client: NatsConnection, subject: string, count: number): Promise<void> => {
    let left = count
    const one = async (): Promise<void> => {
      while (left-- > 0) await publish(client, subject)
    }
    await Promise.all(Array.from({ length: UNDER_WAY }, one))
  }

  /** Asks for more when half of what it has asked for has come, as the library's `consume` does. */
  const consume = (client: NatsConnection, count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const inbox = createInbox()
      let left = count
      let asked = 0
      const pull = (): void => {
        asked += UNDER_WAY
        const request = JSON.stringify({ batch: UNDER_WAY, expires: EXPIRES_NS })
        client.publish(`$JS.API.CONSUMER.MSG.NEXT.${consumed}.c`, request, { reply: inbox })
      }
      const subscription = client.subscribe(inbox, {
        callback(error, { reply, headers }) {
          if (error !== null || reply === undefined || headers !== undefined)
            return reject(error ?? new Error(headers?.description ?? 'no reply subject'))
          client.publish(reply, ACK)
          if (--left === 0) {
            subscription.unsubscribe()
            client.flush().then(resolve, reject)
          } else if (--asked <= UNDER_WAY / 2) pull()
        },
      })
      pull()
    })

  return {
    items: {
      title: `messages of ${value.length} bytes published by the client library, each acknowledged, ${UNDER_WAY} under way`,
      async run(count) {
        const client = await (connected ??= open())
        return costOfAsync(() => publishMany(client, name, count))
      },
    },
    steps: {
      title: `one message of ${value.length} bytes published and acknowledged at a time`,
      async run(count) {
        const client = await (connected ??= open())
        return costOfAsync(async () => {
          for (let i = 0; i < count; i++) await publish(client, name)
        })
      },
    },
    deliveries: {
      title: `messages of ${value.length} bytes pulled by the client library, ${UNDER_WAY} at a time, and acknowledged one by one`,
      async run(count) {
        const client = await (connected ??= open())
        await publishMany(client, consumed, count)
        return costOfAsync(() => consume(client, count))
      },
    },
    close() {
      void connected?.then(async (client) => {
        for (const stream of [name, consumed]) await ask(client, `STREAM.DELETE.${stream}`, {})
        await client.close()
      })
    },
  }
}
