// Transactions of one transactional id. Three round trips: the partitions are announced, the records stored, the end said.
//
// T1. An error after which it is not known what the broker did is the end: no request of this producer follows one that may still be under way, so that a late EndTxn cannot end
//     another transaction than its own.
// T2. The broker answers EndTxn before it has written the markers; until then the next announcement is refused (CONCURRENT_TRANSACTIONS). Asking again after a millisecond is the
//     difference between 3 ms and kafkajs' 260.
import { sleep } from '@tasks/core/adapter'
import type { Batch, Place, Transactor } from '../driver'
import { fenced, refused, unavailable, type Applied } from '../failure'
import type { Cluster } from './cluster'
import { Lines } from './cluster'
import { meaningOf, nameOf } from './codes'
import { NotSent } from './line'
import { encodeBatch } from './record-batch'
import type { Api, EncodedBatch, Identity, TransactionQuestion } from './requests'
import { ADD_PARTITIONS, COMMIT, FIND_COORDINATOR, INIT_PRODUCER_ID, PRODUCE } from './requests'
import { explain } from './writer'

/**
 * After so long without its end the broker aborts a transaction by itself: that long, and until it looks, a process that was stopped in one holds up those who read what it writes.
 * A call of it may take as long: whoever gives up before loses a session that could have gone on.
 */
const TRANSACTION_MS = 10_000
const TAKE_OVER_MS = 2 * TRANSACTION_MS
/** So long a coordinator that is busy is asked again every few milliseconds, before it is looked for anew. */
const BUSY_MS = 1_000
const BROKER_MS = 5_000
const MOST_SEQUENCE = 2 ** 31

/** A batch of a transaction, and its place among them. */
interface Item {
  readonly batch: Batch
  readonly index: number
}

interface Encoded extends EncodedBatch {
  readonly index: number
}

export async function takeOver(
  cluster: Cluster,
  transactionalId: string,
  isWanted: () => boolean = () => true,
): Promise<Transactor> {
  const lines = new Lines(cluster)
  try {
    const transactor = new LineTransactor(cluster, lines, transactionalId)
    await transactor.begin(isWanted)
    return transactor
  } catch (error) {
    lines.close()
    throw error
  }
}

class LineTransactor implements Transactor {
  readonly #cluster: Cluster
  readonly #lines: Lines
  readonly #id: string
  readonly #sequences = new Map<string, number>()
  #identity: Identity = { producerId: -1n, producerEpoch: -1 }
  #coordinator = -1

  constructor(cluster: Cluster, lines: Lines, id: string) {
    this.#cluster = cluster
    this.#lines = lines
    this.#id = id
  }

  /** Waits until the broker has ended what the one before has left open. */
  async begin(isWanted: () => boolean): Promise<void> {
    const question = { transactionalId: this.#id, timeoutMs: TRANSACTION_MS }
    let busy = 0
    this.#identity = await this.#cluster.patiently(
      `taking over ${this.#id}`,
      async () => {
        const until = this.#cluster.clock.monotonic() + BUSY_MS
        do {
          const coordinator = await this.#find()
          if (coordinator === undefined) return undefined
          if (!isWanted()) throw fenced(`${this.#id} is not to be taken over any more`)
          const { code, ...identity } = await this.#lines.to(coordinator).call(INIT_PRODUCER_ID, question)
          if (code === 0) return identity
          const meaning = meaningOf(code)
          if (meaning === 'forbidden' || meaning === 'refused') throw refused(this.#id, explain(code))
          if (meaning !== 'busy') {
            this.#coordinator = -1
            return undefined
          }
          await this.#rest(busy++)
        } while (this.#cluster.clock.monotonic() < until)
        throw new Error('the transaction before has not ended')
      },
      TAKE_OVER_MS,
    )
  }

  async transact(batches: readonly Batch[]): Promise<readonly number[]> {
    await this.#announce(batches)
    const offsets = await this.#store(batches)
    await this.#commit()
    return offsets
  }

  close(): void {
    this.#lines.close()
  }

  async #announce(batches: readonly Batch[]): Promise<void> {
    const places = [...new Map(batches.map((batch) => [placeOf(batch), batch])).values()]
    await this.#ask(ADD_PARTITIONS, { places }, 'no', (answer) => {
      const codes = answer.map(({ code }) => code)
      // One that is refused makes the others "not attempted".
      return codes.find((code) => code !== 0 && code !== NOT_ATTEMPTED) ?? codes.find((code) => code !== 0) ?? 0
    })
  }

  async #store(batches: readonly Batch[]): Promise<readonly number[]> {
    const offsets = new Array<number>(batches.length)
    // A request takes one batch for each partition: the second of a partition waits for the first.
    let rest: readonly Item[] = batches.map((batch, index) => ({ batch, index }))
    while (rest.length > 0) {
      const now: Item[] = []
      const later: Item[] = []
      const places = new Set<string>()
      for (const item of rest) {
        const place = placeOf(item.batch)
        if (places.has(place)) later.push(item)
        else {
          places.add(place)
          now.push(item)
        }
      }
      await this.#storeRound(now, offsets)
      rest = later
    }
    return offsets
  }

  /** Again, with the same numbers, what a broker has refused that does not lead it, or does not know yet that it does. */
  async #storeRound(items: readonly Item[], offsets: number[]): Promise<void> {
    const { producerId, producerEpoch } = this.#identity
    const now = this.#cluster.clock.now()
    const until = this.#cluster.clock.monotonic() + TRANSACTION_MS / 2
    let rest = items.map(({ batch, index }): Encoded => {
      const { topic, partition, records } = batch
      const sequence = this.#sequences.get(placeOf(batch)) ?? 0
      this.#sequences.set(placeOf(batch), (sequence + records.length) % MOST_SEQUENCE)
      const producer = { id: producerId, epoch: producerEpoch, sequence }
      return { index, topic, partition, bytes: encodeBatch(records, now, producer) }
    })
    const unknown = rest.filter((item) => this.#cluster.leaderOf(item) === undefined)
    if (unknown.length > 0) await this.#cluster.refresh(unknown.map(({ topic }) => topic))
    for (let tries = 0; ; tries++) {
      const codes = await this.#storeOnce(rest, offsets)
      rest = rest.filter(({ index }) => codes.has(index))
      if (rest.length === 0) return
      const code = codes.get(rest[0]!.index)!
      if (this.#cluster.clock.monotonic() > until) this.#fail(code, 'no')
      await this.#cluster.pause(tries)
      await this.#cluster.refresh(rest.map(({ topic }) => topic)).catch(() => {})
    }
  }

  /** Answers the codes of those that may be stored yet. */
  async #storeOnce(items: readonly Encoded[], offsets: number[]): Promise<ReadonlyMap<number, number>> {
    const nodes = new Map<number, Encoded[]>()
    const codes = new Map<number, number>()
    for (const item of items) {
      const leader = this.#cluster.leaderOf(item) ?? -1
      if (leader < 0) codes.set(item.index, NO_LEADER)
      else nodes.set(leader, [...(nodes.get(leader) ?? []), item])
    }
    await Promise.all(
      [...nodes].map(async ([node, members]) => {
        const question = { transactionalId: this.#id, timeoutMs: BROKER_MS, batches: members }
        const answers = await this.#lines
          .to(node)
          .call(PRODUCE, question, TRANSACTION_MS)
          .catch((error: unknown) => {
            void this.#cluster.refresh().catch(() => {})
            throw unavailable(this.#id, messageOf(error), 'no', error)
          })
        for (const { topic, partition, code, offset } of answers) {
          const { index } = members.find((member) => member.topic === topic && member.partition === partition)!
          if (code === 0) offsets[index] = offset
          else if (meaningOf(code) === 'moved' || meaningOf(code) === 'not yet') codes.set(index, code)
          else this.#fail(code, 'no')
        }
      }),
    )
    return codes
  }

  async #commit(): Promise<void> {
    await this.#ask(COMMIT, {}, 'unknown', ({ code }) => code)
  }

  /** Asks the coordinator, and again while it refuses without having done anything. */
  async #ask<Q extends TransactionQuestion, A>(
    api: Api<Q, A>,
    question: Omit<Q, keyof TransactionQuestion>,
    applied: Applied,
    codeOf: (answer: A) => number,
  ): Promise<void> {
    const until = this.#cluster.clock.monotonic() + TRANSACTION_MS
    // Whether it may have been done by a try that was answered with an error.
    let inDoubt = false
    for (let tries = 0; ; tries++) {
      let code: number
      try {
        const coordinator = await this.#find()
        if (coordinator === undefined) throw new NotSent('the coordinator of the transaction is not known')
        const whole = { transactionalId: this.#id, ...this.#identity, ...question } as Q
        code = codeOf(await this.#lines.to(coordinator).call(api, whole, TRANSACTION_MS))
      } catch (error) {
        void this.#cluster.refresh().catch(() => {})
        throw unavailable(this.#id, messageOf(error), error instanceof NotSent && !inDoubt ? 'no' : applied, error)
      }
      if (code === 0) return
      const meaning = meaningOf(code)
      if (meaning === 'coordinator moved') {
        this.#coordinator = -1
        // It says so, too, when it has written the end to its own log and not heard of it from its followers.
        inDoubt = true
      } else if (meaning !== 'busy') this.#fail(code, inDoubt || meaning === 'in doubt' ? applied : 'no')
      if (this.#cluster.clock.monotonic() > until) this.#fail(code, inDoubt ? applied : 'no')
      await this.#rest(tries)
    }
  }

  #fail(code: number, applied: Applied): never {
    const meaning = meaningOf(code)
    // What may have been applied is not said to be lost: the next owner ends a transaction whose end was written, and then this producer is fenced.
    if (meaning === 'fenced' && applied === 'no')
      throw fenced(`${this.#id}: another producer has taken over: ${nameOf(code)}`)
    if (meaning === 'moved') void this.#cluster.refresh().catch(() => {})
    throw unavailable(this.#id, explain(code), applied)
  }

  async #find(): Promise<number | undefined> {
    if (this.#coordinator >= 0) return this.#coordinator
    if (this.#cluster.brokers === 0) await this.#cluster.refresh()
    const { code, node } = await this.#lines.to(this.#cluster.someNode()).call(FIND_COORDINATOR, this.#id)
    if (code !== 0) {
      if (meaningOf(code) === 'forbidden') throw refused(this.#id, explain(code))
      return undefined
    }
    return (this.#coordinator = node)
  }

  #rest(tries: number): Promise<void> {
    return sleep(this.#cluster.clock, Math.min(1 + tries * 0.5, 20), this.#cluster.over).catch(() => {})
  }
}

const NO_LEADER = 5
const NOT_ATTEMPTED = 55

function placeOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
