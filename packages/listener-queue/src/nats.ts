// A stream of JetStream, by a durable pull consumer, over a connection of @nats-io/transport-node 3: the few subjects of its API that are needed are called
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
  readonly headers?: { readonly code: number; readonly description?: string }
}

export interface NatsStreamOptions {
  readonly connection: NatsRequests
  readonly stream: string
  /** The consumer, which all processes share. It is made if it is not there; one that is there stays as it is, its lease too. Default `tasks`. */
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

/** There is nothing now; nothing came while it was waited for. Whatever else a pull is answered with is a reason why nothing comes. */
const NOTHING = [404, 408]
const NO_CONSUMER = 10_014
const CONSUMER_EXISTS = 10_148

interface ApiReply {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description: string }
  readonly config?: {
    readonly ack_policy: string
    readonly deliver_subject?: string
    readonly filter_subject?: string
    readonly filter_subjects?: readonly string[]
  }
}

export function natsStream(options: NatsStreamOptions): QueueDriver {
  const { connection, stream, consumer = 'tasks', subject, leaseMs = LEASE_MS } = options
  const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`

  const refused = (code: 'TASKS_NOT_FOUND' | 'TASKS_OPTIONS' | 'TASKS_UNAVAILABLE', why: string): TaskError =>
    new TaskError(code, `consumer "${consumer}" of stream "${stream}": ${why}`)

  const api = async (call: string, request: object): Promise<ApiReply> => {
    const { data } = await connection.request(`$JS.API.${call}`, JSON.stringify(request), { timeout: ANSWER_MS })
    return JSON.parse(textOf(data)) as ApiReply
  }

  const makeConsumer = async (): Promise<void> => {
    const { error: absent, config: found } = await api(`CONSUMER.INFO.${stream}.${consumer}`, {})
    if (found !== undefined) return check(found)
    if (absent?.err_code !== NO_CONSUMER) throw failed(absent!)
    const config = {
      durable_name: consumer,
      name: consumer,
      ack_policy: 'explicit',
      ack_wait: leaseMs * NANOS,
      deliver_policy: 'all',
      ...(subject === undefined ? {} : { filter_subject: subject }),
    }
    const call = `CONSUMER.CREATE.${stream}.${consumer}${subject === undefined ? '' : `.${subject}`}`
    const { error } = await api(call, { stream_name: stream, config, action: 'create' })
    // Somebody else was quicker, and wants something else of it.
    if (error?.err_code === CONSUMER_EXISTS) return makeConsumer()
    if (error !== undefined) throw failed(error)
  }
  const failed = ({ code, description }: NonNullable<ApiReply['error']>): TaskError =>
    refused(code === 404 ? 'TASKS_NOT_FOUND' : 'TASKS_OPTIONS', description)

  /** Somebody has made it: its settings stand, as far as it does what is asked of it. */
  const check = (found: NonNullable<ApiReply['config']>): void => {
    if (found.ack_policy !== 'explicit' || found.deliver_subject !== undefined)
      throw refused('TASKS_OPTIONS', 'it is there, and no pull consumer with ack_policy "explicit"')
    const subjects = found.filter_subjects ?? [found.filter_subject]
    if (subjects.length !== 1 || subjects[0] !== subject)
      throw refused('TASKS_OPTIONS', `it is there, for ${subjects.join(', ') || 'the whole stream'}`)
  }
  let made: Promise<void> | undefined

  const pull = async (batch: number, how: { readonly no_wait: true } | { readonly expires: number }) => {
    const messages: QueueMessage[] = []
    // Not over the shared inbox: messages come with the subject that they were published to, by which it does not know them.
    const limits = { strategy: 'count', maxMessages: batch, maxWait: WAIT_MS + ANSWER_MS, noMux: true } as const
    for await (const reply of await connection.requestMany(next, JSON.stringify({ batch, ...how }), limits)) {
      const { code = 0, description = '' } = reply.headers ?? {}
      if (code >= 400 || reply.reply === undefined) {
        if (messages.length > 0 || NOTHING.includes(code)) return messages
        throw refused('TASKS_UNAVAILABLE', `${code} ${description}`)
      }
      messages.push({ ...placeOf(reply.reply), body: textOf(reply.data), token: reply.reply })
      if (messages.length === batch) return messages
    }
    // It always says that there are no more: nobody is there.
    throw refused('TASKS_UNAVAILABLE', 'it does not answer')
  }

  /** `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…`, or with domain and account before the stream. */
  const placeOf = (token: string): Pick<QueueMessage, 'id' | 'deliveries'> => {
    const words = token.split('.')
    const at = words.length > 9 ? 6 : 4
    return { id: `${stream}.${words[at + 1]!}`, deliveries: Number(words[at]) }
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
