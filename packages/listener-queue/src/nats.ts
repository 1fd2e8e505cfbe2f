// A stream of JetStream, by a durable pull consumer, over a connection of @nats-io/transport-node 3 (or of `nats` 2): the few subjects of its API that are needed are called
// directly. The token of a message is the subject that acknowledges it, which any connection may do.
import { TaskError } from '@tasks/core'
import type { QueueDriver, QueueMessage } from './queue-driver'

/** What a driver asks of a connection. */
export interface NatsRequests {
  request(subject: string, payload?: string, options?: { readonly timeout: number }): Promise<NatsReply>
  requestMany(subject: string, payload?: string, options?: NatsPullOptions): Promise<AsyncIterable<NatsReply>>
}

export interface NatsPullOptions {
  readonly strategy: 'count'
  readonly maxMessages: number
  readonly maxWait: number
  readonly noMux: true
}

export interface NatsReply {
  readonly reply?: string
  readonly data: Uint8Array
  readonly headers?: { readonly code: number }
}

export interface NatsStreamOptions {
  readonly connection: NatsRequests
  readonly stream: string
  /** The consumer, which all processes share. It is made if it is not there. Default `tasks`. */
  readonly consumer?: string
  /** Only what was published to this subject, or to those that this one stands for. Default: the whole stream. */
  readonly subject?: string
  /** How long a message is kept from others before it is handed out again, in ms. Longer than a worker's lease, which is 10 s. Default 60,000. */
  readonly leaseMs?: number
}

const LEASE_MS = 60_000
const WAIT_MS = 1_000
const ANSWER_MS = 4_000
const NANOS = 1_000_000

export function natsStream(options: NatsStreamOptions): QueueDriver {
  const { connection, stream, consumer = 'tasks', subject, leaseMs = LEASE_MS } = options
  const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`

  const makeConsumer = async (): Promise<void> => {
    const config = {
      durable_name: consumer,
      name: consumer,
      ack_policy: 'explicit',
      ack_wait: leaseMs * NANOS,
      deliver_policy: 'all',
      ...(subject === undefined ? {} : { filter_subject: subject }),
    }
    const where = `$JS.API.CONSUMER.CREATE.${stream}.${consumer}${subject === undefined ? '' : `.${subject}`}`
    const request = JSON.stringify({ stream_name: stream, config })
    const { data } = await connection.request(where, request, { timeout: ANSWER_MS })
    const { error } = JSON.parse(textOf(data)) as {
      readonly error?: { readonly code: number; readonly description: string }
    }
    if (error === undefined) return
    const code = error.code === 404 ? 'TASKS_NOT_FOUND' : 'TASKS_OPTIONS'
    throw new TaskError(code, `consumer "${consumer}" of stream "${stream}": ${error.description}`)
  }
  let made: Promise<void> | undefined

  const pull = async (batch: number, how: { readonly no_wait: true } | { readonly expires: number }) => {
    const messages: QueueMessage[] = []
    // Not over the shared inbox: messages come with the subject that they were published to, by which it does not know them.
    const limits = { strategy: 'count', maxMessages: batch, maxWait: WAIT_MS + ANSWER_MS, noMux: true } as const
    for await (const reply of await connection.requestMany(next, JSON.stringify({ batch, ...how }), limits)) {
      // It says that there are no more.
      if ((reply.headers?.code ?? 0) >= 400 || reply.reply === undefined) return messages
      messages.push({ id: `${stream}.${sequenceOf(reply.reply)}`, body: textOf(reply.data), token: reply.reply })
      if (messages.length === batch) return messages
    }
    // It says so always: nobody is there.
    throw new TaskError('TASKS_UNAVAILABLE', `consumer "${consumer}" of stream "${stream}" does not answer`)
  }

  return {
    async receive(most, signal) {
      // Made anew after whatever went wrong: somebody may have deleted it.
      made ??= makeConsumer()
      try {
        await made
        const ready = await pull(most, { no_wait: true })
        return ready.length > 0 || signal.aborted ? ready : await pull(1, { expires: WAIT_MS * NANOS })
      } catch (error) {
        made = undefined
        throw error
      }
    },
    async acknowledge(token) {
      try {
        await connection.request(token, '+ACK', { timeout: ANSWER_MS })
      } catch (error) {
        // Nobody is there who knows the message: the stream, or its consumer, is no more.
        if (!/no responders|503/i.test(String(error))) throw error
      }
    },
    async giveBack(token) {
      await connection.request(token, '-NAK', { timeout: ANSWER_MS })
    },
  }
}

const textOf = (data: Uint8Array): string => new TextDecoder().decode(data)

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…`, or with domain and account before the stream. */
function sequenceOf(token: string): string {
  const words = token.split('.')
  return words[words.length > 9 ? 7 : 5]!
}
