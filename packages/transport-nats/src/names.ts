// What things are called on the server. `tasks` is the prefix, `shop` the namespace; HOW_IT_WORKS.md draws all of them.
//
//   stream            subjects
//   tasks+shop+state  tasks.shop.state.meta  tasks.shop.state.clock  tasks.shop.state.host.<host>  tasks.shop.state.subscription.<name>.<partition>
//                     tasks.shop.state.settled.<sequence in the queue stream>  tasks.shop.state.lease.<queue>  tasks.shop.state.outlived.<consumer>
//   tasks+shop+inbox  tasks.shop.inbox.<partition>
//   tasks+shop+log    tasks.shop.log.<partition>.record|part
//   tasks+shop+queue  tasks.shop.queue.<queue>.0|1|many|suspect
//   tasks+shop+event  tasks.shop.event.<partition>
//   tasks+shop+dead   tasks.shop.dead
//   tasks+shop+blob   tasks.shop.blob.<page>.<segment>.<segment>…
//
// Without a stream: tasks.shop.reply.<connection>.<number>  tasks.shop.signal  tasks.shop.alive.<host>
import { createHash } from 'node:crypto'
import { TaskError } from '@tasks/core/adapter'

/** Of a queue: a priority; `many` of priority 0 that share messages; or what has been handed out before and was never settled. */
export type Level = 0 | 1 | 'many' | 'suspect'
export const LEVELS: readonly Level[] = [1, 0, 'many', 'suspect']

export interface StreamNames {
  readonly state: string
  readonly inbox: string
  readonly log: string
  readonly queue: string
  readonly event: string
  readonly dead: string
  readonly blob: string
}

/** Longer than this, a consumer's name would be too long for the server; then it is told apart by a hash. */
const LONGEST_NAME = 100

export class Names {
  readonly #root: string
  readonly streams: StreamNames
  readonly #queues = new Map<string, ReadonlyMap<Level, QueueNames>>()

  constructor(prefix: string, namespace: string) {
    if (prefix === '') throw new TaskError('TASKS_OPTIONS', 'the prefix is empty')
    this.#root = `${encode(prefix)}.${encode(namespace)}`
    const stream = (kind: string): string => `${shortened(encode(prefix))}+${shortened(encode(namespace))}+${kind}`
    this.streams = {
      state: stream('state'),
      inbox: stream('inbox'),
      log: stream('log'),
      queue: stream('queue'),
      event: stream('event'),
      dead: stream('dead'),
      blob: stream('blob'),
    }
  }

  /** Of a stream: all of its subjects. */
  subjectsOf(kind: keyof StreamNames): string {
    return kind === 'dead' ? this.dead : `${this.#root}.${kind}.>`
  }

  get meta(): string {
    return `${this.#root}.state.meta`
  }

  get clock(): string {
    return `${this.#root}.state.clock`
  }

  /** Where a host says that it is alive, and what it holds; `*` for all of them. */
  host(host: string): string {
    return `${this.#root}.state.host.${host}`
  }

  /** Nothing is said there: whether anybody listens is what the others want to know. */
  alive(host: string): string {
    return `${this.#root}.alive.${host}`
  }

  inbox(partition: number): string {
    return `${this.#root}.inbox.${partition}`
  }

  /** The records of a partition's journal, or the parts of those that are too large for one message; `*` for both. */
  log(partition: number, kind: 'record' | 'part' | '*'): string {
    return `${this.#root}.log.${partition}.${kind}`
  }

  events(partition: number | '*'): string {
    return `${this.#root}.event.${partition}`
  }

  /** How far a named subscription has come, and who holds its next page. */
  subscription(name: string, partition: number | '*'): string {
    return `${this.#root}.state.subscription.${encode(name)}.${partition}`
  }

  /** For how long the consumers of a queue leave a message with whoever has it. */
  lease(queue: string): string {
    return `${this.#root}.state.lease.${encode(queue)}`
  }

  /** Who makes a consumer of the queue stream anew, and which. */
  outlived(consumer: string): string {
    return `${this.#root}.state.outlived.${encode(consumer)}`
  }

  /** What is settled of a message of the queue stream that holds many tasks. */
  settled(sequence: number): string {
    return `${this.#root}.state.settled.${sequence}`
  }

  queue(queue: string, level: Level): QueueNames {
    let known = this.#queues.get(queue)
    if (known === undefined) {
      const token = encode(queue)
      known = new Map(
        LEVELS.map((each) => [
          each,
          { queue, subject: `${this.#root}.queue.${token}.${each}`, consumer: `${shortened(token)}+${each}` },
        ]),
      )
      this.#queues.set(queue, known)
    }
    return known.get(level)!
  }

  get dead(): string {
    return `${this.#root}.dead`
  }

  /** The page comes first, so that the subjects of a prefix of whole segments are one pattern. */
  blob(key: string, page: number | '*'): string {
    return `${this.#root}.blob.${page}.${key.split('/').map(encode).join('.')}`
  }

  /** Of all blobs. */
  get firstPages(): string {
    return `${this.#root}.blob.0.>`
  }

  blobKeyOf(subject: string): string {
    const from = this.#root.length + '.blob.'.length
    return subject
      .slice(subject.indexOf('.', from) + 1)
      .split('.')
      .map(decode)
      .join('/')
  }

  get signal(): string {
    return `${this.#root}.signal`
  }

  /** The replies of one connection: `<connection>.<number>` is an address. */
  reply(address: string): string {
    return `${this.#root}.reply.${address}`
  }
}

export interface QueueNames {
  readonly queue: string
  readonly subject: string
  /** The durable consumer that hands out this level. */
  readonly consumer: string
}

/** As one token of a subject, and part of a stream's name: letters, digits and `-` stand for themselves, other bytes are `=` and two hexadecimal digits. */
export function encode(text: string): string {
  if (text === '') return '='
  return text.replace(/[^A-Za-z0-9-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

function decode(token: string): string {
  if (token === '=') return ''
  return Buffer.from(
    token.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  ).toString()
}

function shortened(name: string): string {
  if (name.length <= LONGEST_NAME) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 32)
  return `${name.slice(0, LONGEST_NAME - 33)}_${hash}`
}
