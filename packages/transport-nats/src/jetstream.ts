// What is asked of JetStream, in the words of its own protocol: the few calls that are needed, and no defaults of a library between.
import { waitAtMost } from '@tasks/core/adapter'
import type { Msg } from '@nats-io/transport-node'
import { headers } from '@nats-io/transport-node'
import type { Connection } from './connection'
import { ERROR, isRefusal, Refusal, unavailable } from './failure'

const EMPTY = new Uint8Array(0)
/** How long a server of a cluster may take to make a reader before another is asked; twice as long each time. */
const FIRST_READER_MS = 1_000

/** A message as the server keeps it. */
export interface Stored {
  readonly subject: string
  readonly sequence: number
  /** When it was stored, by the server's clock, in ms since the epoch. */
  readonly at: number
  readonly data: Uint8Array
}

/** The last message of a subject, the first from a sequence on, or that with a sequence. */
export type Sought =
  | { readonly last_by_subj: string }
  | { readonly next_by_subj: string; readonly seq: number }
  | { readonly seq: number }

export interface StreamConfig {
  readonly name: string
  readonly subjects: readonly string[]
  readonly retention?: 'limits' | 'workqueue'
  readonly storage?: 'file' | 'memory'
  readonly num_replicas?: number
  readonly max_msgs_per_subject?: number
  readonly [setting: string]: unknown
}

export interface StreamInfo {
  readonly config: StreamConfig
  readonly state: {
    readonly messages: number
    readonly bytes: number
    readonly first_seq: number
    readonly last_seq: number
  }
  readonly cluster?: { readonly name?: string; readonly leader?: string; readonly replicas?: readonly unknown[] }
}

export interface ConsumerConfig {
  readonly filter_subject: string
  readonly ack_policy: 'none' | 'explicit'
  readonly [setting: string]: unknown
}

export interface ConsumerInfo {
  readonly name: string
  /** When: no two of one name have the same. */
  readonly created: string
  readonly config: ConsumerConfig & { readonly ack_wait?: number }
  /** The last that was handed out, as counted by the consumer and by the stream. */
  readonly delivered: { readonly consumer_seq: number; readonly stream_seq: number }
  /** Not handed out yet. */
  readonly num_pending: number
  /** Handed out, and not settled yet. */
  readonly num_ack_pending: number
}

interface Answer {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string }
}

const API = '$JS.API'

export class JetStream {
  readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
  }

  // ---- Messages

  /**
   * Stores a message, once; its sequence number.
   * @param expected the sequence of the last message of this subject, or it is refused
   * @throws Refusal, TaskError as `Connection.call`
   */
  async store(subject: string, data: Uint8Array, expected?: number): Promise<number> {
    let fence
    if (expected !== undefined) {
      fence = headers()
      fence.set('Nats-Expected-Last-Subject-Sequence', String(expected))
    }
    const answer = parsed<{ readonly seq: number }>(await this.connection.call(subject, data, fence))
    return answer.seq
  }

  /** As the leader knows it, no replica. */
  async find(stream: string, what: Sought): Promise<Stored | undefined> {
    try {
      const { message } = await this.api<{ message: { subject: string; seq: number; time: string; data?: string } }>(
        `STREAM.MSG.GET.${stream}`,
        what,
      )
      return {
        subject: message.subject,
        sequence: message.seq,
        at: Date.parse(message.time),
        data: message.data === undefined ? EMPTY : Buffer.from(message.data, 'base64'),
      }
    } catch (error) {
      if (hasCause(error, ERROR.messageNotFound)) return undefined
      throw error
    }
  }

  /** From any replica: of what is written once. One that has not heard of it yet is no reason to miss it. */
  async findDirect(stream: string, what: Sought): Promise<Uint8Array | undefined> {
    const get = (): Promise<Msg | undefined> =>
      this.#getDirect(stream, what).catch((error: unknown) => {
        // Nobody answers for a stream that does not allow it.
        if (error instanceof Refusal) return undefined
        throw error
      })
    const message = await this.connection.insist(`get from ${stream}`, true, get)
    if (message !== undefined && (message.headers?.code ?? 0) === 0) return message.data
    return (await this.find(stream, what))?.data
  }

  /** False if there is no such message. */
  async delete(stream: string, sequence: number): Promise<boolean> {
    try {
      const { success } = await this.api<{ success: boolean }>(`STREAM.MSG.DELETE.${stream}`, {
        seq: sequence,
        no_erase: true,
      })
      return success
    } catch (error) {
      // What it says of one that is not there depends on its version, and its number is that of any other failure.
      if (error instanceof Error && /no message found|not found|deleted/i.test(error.message)) return false
      throw error
    }
  }

  /** Removes the messages of these subjects. */
  async purge(stream: string, filter: string): Promise<void> {
    await this.api(`STREAM.PURGE.${stream}`, { filter })
  }

  /** The same, of those before a message. Asked once, over the connection that there is now: behind another one the number may be another message's. */
  async purgeBefore(stream: string, filter: string, sequence: number): Promise<void> {
    // There is nothing before the first; and the server takes 1 for no limit at all.
    if (sequence <= 1 || !this.connection.isConnected) return
    parsed(await this.connection.call(`${API}.STREAM.PURGE.${stream}`, json({ filter, seq: sequence })))
  }

  // ---- Streams and consumers

  async streamInfo(stream: string): Promise<StreamInfo | undefined> {
    try {
      return await this.api<StreamInfo>(`STREAM.INFO.${stream}`, {})
    } catch (error) {
      if (hasCause(error, ERROR.streamNotFound)) return undefined
      throw error
    }
  }

  /** The subjects that have messages. */
  async subjects(stream: string, filter: string): Promise<readonly string[]> {
    const { state } = await this.api<{ state: { subjects?: Readonly<Record<string, number>> } }>(
      `STREAM.INFO.${stream}`,
      {
        subjects_filter: filter,
      },
    )
    return Object.keys(state.subjects ?? {})
  }

  /** Also if it is there already, with the same settings. */
  async createStream(config: StreamConfig): Promise<StreamInfo> {
    return this.api<StreamInfo>(`STREAM.CREATE.${config.name}`, config)
  }

  /**
   * Resolves when the stream, which allows direct reading, answers. Of one that another connection is just making nats-server 2.9 says that it is there, with nothing in it, and dies of a `find`.
   */
  async untilThere(stream: string): Promise<void> {
    await this.connection.insist(`stream ${stream}`, true, () => this.#getDirect(stream, { seq: 1 }))
  }

  #getDirect(stream: string, what: Sought): Promise<Msg> {
    return this.connection.call(`${API}.DIRECT.GET.${stream}`, json(what))
  }

  async consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo | undefined> {
    try {
      return await this.api<ConsumerInfo>(`CONSUMER.INFO.${stream}.${consumer}`, {})
    } catch (error) {
      if (hasCause(error, ERROR.consumerNotFound)) return undefined
      throw error
    }
  }

  async createConsumer(stream: string, name: string, config: ConsumerConfig): Promise<ConsumerInfo> {
    return this.connection.insist(`consumer ${name}`, true, () => this.#createConsumer(stream, name, config))
  }

  /**
   * A consumer of this process alone, which one server keeps in its memory. A cluster may give it to a server that has just died, and takes minutes to notice: then
   * nobody answers, and another is made, which may go to another server.
   */
  async createReader(stream: string, config: ConsumerConfig): Promise<ConsumerInfo> {
    const { connection } = this
    const { clock } = connection
    let patienceMs = connection.info.cluster === undefined ? Infinity : FIRST_READER_MS
    return connection.insist(`a reader of ${stream}`, true, async () => {
      const name = clock.uid()
      const making = this.#createConsumer(stream, name, { ...config, mem_storage: true, num_replicas: 1 })
      if (patienceMs < Infinity && !(await waitAtMost(clock, patienceMs, making))) {
        making.catch(() => {})
        this.forgetConsumer(stream, name)
        patienceMs *= 2
        throw unavailable(`a reader of ${stream}`, 'the server that was to keep it does not answer', 'no')
      }
      return making
    })
  }

  async #createConsumer(stream: string, name: string, config: ConsumerConfig): Promise<ConsumerInfo> {
    const request = { stream_name: stream, config: { name, ...config }, action: 'create' }
    const subject = `${API}.CONSUMER.CREATE.${stream}.${name}.${config.filter_subject}`
    return parsed<ConsumerInfo>(await this.connection.call(subject, json(request)))
  }

  /** Also if it is gone already. */
  async deleteConsumer(stream: string, consumer: string): Promise<void> {
    try {
      await this.api(`CONSUMER.DELETE.${stream}.${consumer}`, {})
    } catch (error) {
      if (!hasCause(error, ERROR.consumerNotFound)) throw error
    }
  }

  /** Nobody waits for it: it would go by itself, later. */
  forgetConsumer(stream: string, consumer: string): void {
    this.connection.say(`${API}.CONSUMER.DELETE.${stream}.${consumer}`, EMPTY)
  }

  /** Asks a consumer for messages, which come to `reply`. False if there is no connection. */
  pull(stream: string, consumer: string, reply: string, request: PullRequest): boolean {
    return this.connection.say(`${API}.CONSUMER.MSG.NEXT.${stream}.${consumer}`, json(request), reply)
  }

  /** A call that may be made twice. @throws TaskError whose cause is the Refusal, if it is one */
  async api<T>(path: string, request: object): Promise<T> {
    return this.connection.insist(path, true, async () =>
      parsed<T>(await this.connection.call(`${API}.${path}`, json(request))),
    )
  }
}

export interface PullRequest {
  readonly batch: number
  /** Nanoseconds. */
  readonly expires?: number
  readonly no_wait?: boolean
  readonly idle_heartbeat?: number
  readonly max_bytes?: number
}

export const NANOS = 1_000_000

export function hasCause(error: unknown, ...errorCodes: readonly number[]): boolean {
  return error instanceof Error && isRefusal(error.cause, ...errorCodes)
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function parsed<T>(message: Msg): T {
  const { data } = message
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()
  const answer = JSON.parse(text) as T & Answer
  if (answer.error !== undefined)
    throw new Refusal(answer.error.code, answer.error.err_code ?? 0, answer.error.description ?? 'refused')
  return answer
}

/** What a consumer's message says of itself, in the subject that acknowledges it. */
export interface Delivery {
  readonly stream: number
  /** Counted by the consumer. */
  readonly sequence: number
  /** How often it was handed out. */
  readonly count: number
  /** When it was stored, in ms since the epoch. */
  readonly at: number
  /** How many messages the consumer has behind it. */
  readonly pending: number
}

/** `$JS.ACK.<stream>.<consumer>.<count>.<stream seq>.<seq>.<ns>.<pending>`, with domain and account before the stream in its second version. */
export function deliveryOf(reply: string): Delivery {
  const tokens = reply.split('.')
  const from = tokens.length > 9 ? 6 : 4
  const number = (offset: number): number => Number(tokens[from + offset])
  // As exact as what the server says of a message that it is asked for.
  const at = Number(tokens[from + 3]?.slice(0, -6))
  return { count: number(0), stream: number(1), sequence: number(2), at, pending: number(4) }
}
