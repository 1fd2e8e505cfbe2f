// Everything that a client waits for, on one subscription: results, acceptances of submits, answers to questions.
// Replies are best effort; so whoever waits asks again after a while of silence, one message per partition for all.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import { fromFailure, type Failure } from '../failure'
import { partitionOf } from '../ids'
import type { Logger } from '../logger'
import type { ReplyAddress, Space } from '../transport'
import { decodeReply, type ReplyBody } from '../wire/reply'
import { encodeInbox, type InboxBody, type MeantRun, type Question, type WaitedRun } from '../wire/inbox-message'
import { SharedSignals } from './shared-signals'

/** A message that is answered: made when it is known where the answer goes. */
export type Asking = (replyTo: string, correlation: string) => InboxBody

const asking =
  (question: Question): Asking =>
  (replyTo, correlation) => ({ type: 'query', question, replyTo, correlation })

export type Ended = ReplyBody & { readonly type: 'ended' }

/** Which run is meant: the one that was submitted; undefined: whichever the id has, as for a lone task or a pipeline of another process. */
export interface RunRef {
  readonly id: string
  readonly run: string | undefined
  /** Of the definition that was submitted. */
  readonly hash?: string
}

/** What is known of something that this client has sent. */
interface Sent {
  /** The run that it came to: another one, if the id was taken by the same pipeline. */
  run: string | undefined
  outcome: Ended | Error | undefined
}

interface Waiter {
  readonly ref: RunRef
  /** The run that it is about, once that is known to be another. */
  run: string | undefined
  readonly sent: Sent | undefined
  /** When the wait began, by the monotonic clock: what it waits for was submitted before. */
  readonly since: number
  readonly settle: (outcome: Ended | Error) => void
}

interface Asked {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
  /** What was known of the partition when it was asked: an answer from before that is of an owner that has been replaced. */
  readonly known: Place | undefined
}

/** A state of a partition. */
interface Place {
  readonly epoch: number
  readonly seq: number
}

/** The latest sends whose early replies are kept. For older ones the owner is asked when somebody wants to know. */
const MOST_SENT = 10_000
const MOST_ASKED = 500
/** A submit that was stored this long ago is not behind a question in its inbox. */
const FRESH_MS = 15_000

function isBefore(place: Place, known: Place | undefined): boolean {
  return known !== undefined && (place.epoch < known.epoch || (place.epoch === known.epoch && place.seq < known.seq))
}

const keyOf = ({ id, run }: RunRef): string => run ?? `/${id}`

export class Replies {
  readonly #space: Space
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #silenceMs: number
  readonly #name: string
  #address: Promise<ReplyAddress> | undefined
  readonly #waiters = new Map<string, Set<Waiter>>()
  readonly #sent = new Map<string, Sent>()
  readonly #submits = new Map<string, (error: Error | undefined) => void>()
  readonly #questions = new Map<string, Asked>()
  /** The latest state of each partition that an answer was from. */
  readonly #known = new Map<number, Place>()
  readonly #signals = new SharedSignals()
  #cancelAsking: (() => void) | undefined
  #sequence = 0

  /** @param silenceMs how long a wait for a result goes on in silence before it is asked for again */
  constructor(space: Space, clock: Clock, logger: Logger, silenceMs: number) {
    this.#space = space
    this.#clock = clock
    this.#logger = logger
    this.#silenceMs = silenceMs
    this.#name = clock.uid()
  }

  /** Where this client is replied to. */
  async address(): Promise<string> {
    // What has failed once, while the broker was away, is asked for again by the next call.
    this.#address ??= this.#space
      .replies((body) => this.#receive(body))
      .catch((error: unknown) => {
        this.#address = undefined
        throw error
      })
    return (await this.#address).address
  }

  /** Something is on its way: its reply may come before anybody waits for it. */
  expect(ref: RunRef): void {
    if (this.#sent.size >= MOST_SENT) {
      for (const oldest of this.#sent.keys()) {
        this.#sent.delete(oldest)
        break
      }
    }
    this.#sent.set(keyOf(ref), { run: ref.run, outcome: undefined })
  }

  #receive(body: Uint8Array): void {
    let reply: ReplyBody
    try {
      reply = decodeReply(body)
    } catch (error) {
      this.#logger.warn({ error }, 'a reply could not be read')
      return
    }
    switch (reply.type) {
      case 'ended':
        return this.#ended(reply)
      case 'attached': {
        for (const waiter of this.#waiters.get(reply.id) ?? [])
          if (waiter.ref.run === reply.run || waiter.run === reply.run) waiter.run = reply.actual
        const sent = this.#sent.get(reply.run)
        if (sent === undefined) return
        sent.run = reply.actual
        this.#sent.set(reply.actual, sent)
        return
      }
      case 'accepted':
        return this.#submits.get(reply.run)?.(undefined)
      case 'refused': {
        const error = fromFailure(reply.failure as Failure)
        const sent = this.#sent.get(reply.run)
        if (sent !== undefined) sent.outcome ??= error
        this.#submits.get(reply.run)?.(error)
        for (const waiter of this.#waiters.get(reply.id) ?? [])
          if ((waiter.ref.run ?? '') === reply.run || waiter.run === reply.run) waiter.settle(error)
        return
      }
      case 'answer':
        return this.#answered(reply)
    }
  }

  #answered({ correlation, partition, epoch, seq, answer }: ReplyBody & { readonly type: 'answer' }): void {
    const asked = this.#questions.get(correlation)
    const place = { epoch, seq }
    if (asked === undefined || isBefore(place, asked.known)) return
    if (!isBefore(place, this.#known.get(partition))) this.#known.set(partition, place)
    asked.resolve(answer)
  }

  #ended(reply: Ended): void {
    const sent = this.#sent.get(reply.run) ?? this.#sent.get(keyOf({ id: reply.id, run: undefined }))
    if (sent !== undefined) sent.outcome = reply
    for (const waiter of this.#waiters.get(reply.id) ?? []) {
      if (waiter.run === undefined || waiter.run === reply.run) waiter.settle(reply)
    }
  }

  /** The run that it came to, as far as this client has been told. */
  meant({ id, run, hash }: RunRef): MeantRun {
    const actual = run === undefined ? undefined : (this.#sent.get(run)?.run ?? run)
    return { id, ...(actual === undefined ? {} : { run: actual }), ...(hash === undefined ? {} : { hash }) }
  }

  /** Waits for the end of a run. */
  async ended(
    ref: RunRef,
    options: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Ended> {
    await this.address()
    const { timeoutMs, signal } = options
    signal?.throwIfAborted()
    const sent = this.#sent.get(keyOf(ref))
    if (sent?.outcome instanceof Error) throw sent.outcome
    if (sent?.outcome !== undefined) return sent.outcome
    let forget: () => void = () => undefined
    try {
      return await new Promise<Ended>((resolve, reject) => {
        const settle = (outcome: Ended | Error): void => (outcome instanceof Error ? reject(outcome) : resolve(outcome))
        const since = this.#clock.monotonic()
        const waiter: Waiter = { ref, run: sent === undefined ? ref.run : sent.run, sent, since, settle }
        const cancelTimeout =
          timeoutMs === undefined
            ? (): void => undefined
            : this.#clock.after(timeoutMs, () =>
                reject(new TaskError('TASKS_RESULT_TIMEOUT', `"${ref.id}" did not end within ${timeoutMs} ms`)),
              )
        const stopListening = signal && this.#signals.on(signal, (reason) => reject(reason as Error))
        const waiters = this.#waiters.get(ref.id)
        if (waiters === undefined) this.#waiters.set(ref.id, new Set([waiter]))
        else waiters.add(waiter)
        forget = () => {
          cancelTimeout()
          stopListening?.()
          const left = this.#waiters.get(ref.id)
          left?.delete(waiter)
          if (left?.size === 0) this.#waiters.delete(ref.id)
        }
        // The owner tells who submitted; anybody else has to ask.
        if (sent === undefined) this.#askFor([waiter]).catch(reject)
        this.#askRegularly()
      })
    } finally {
      forget()
      if (this.#waiters.size === 0) {
        this.#cancelAsking?.()
        this.#cancelAsking = undefined
      }
    }
  }

  #askRegularly(): void {
    this.#cancelAsking ??= this.#clock.after(
      this.#silenceMs,
      () => {
        this.#cancelAsking = undefined
        if (this.#waiters.size === 0) return
        const waiters = [...this.#waiters.values()].flatMap((same) => [...same])
        this.#askFor(waiters).catch((error: unknown) =>
          this.#logger.warn({ error }, 'results could not be asked for again'),
        )
        this.#askRegularly()
      },
      { unref: true },
    )
  }

  async #askFor(waiters: readonly Waiter[]): Promise<void> {
    const byPartition = new Map<number, WaitedRun[]>()
    const fresh = this.#clock.monotonic() - FRESH_MS
    for (const waiter of waiters) {
      const { ref, sent, since } = waiter
      // A lone task has no row to ask about.
      if (ref.run === undefined && sent !== undefined) continue
      const partition = partitionOf(ref.id, this.#space.partitions)
      const isFresh = ref.run !== undefined && since > fresh
      const name = [ref.id, waiter.run ?? 0, isFresh ? 1 : 0] as const
      const run: WaitedRun = ref.hash === undefined ? name : [...name, ref.hash]
      const same = byPartition.get(partition)
      if (same === undefined) byPartition.set(partition, [run])
      else same.push(run)
    }
    for (const [partition, runs] of byPartition) {
      for (let from = 0; from < runs.length; from += MOST_ASKED) {
        const message = asking({ ask: 'wait', runs: runs.slice(from, from + MOST_ASKED) })
        await this.#send(partition, message, this.#correlation())
      }
    }
  }

  /** Asks the owner of one partition. Rejects with `TASKS_UNAVAILABLE` if none answers in time. */
  ask(partition: number, question: Question, timeoutMs: number): Promise<unknown> {
    return this.askWith(partition, asking(question), timeoutMs)
  }

  /** The same with a message of another kind. */
  async askWith(partition: number, message: Asking, timeoutMs: number): Promise<unknown> {
    const correlation = this.#correlation()
    await this.address()
    let cancel: () => void = () => undefined
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const text = `no owner of partition ${partition} answered within ${timeoutMs} ms: is a worker up?`
        cancel = this.#clock.after(timeoutMs, () => {
          // A store that was set back to a backup is believed the next time.
          this.#known.delete(partition)
          reject(new TaskError('TASKS_UNAVAILABLE', text))
        })
        this.#questions.set(correlation, { resolve, reject, known: this.#known.get(partition) })
        this.#send(partition, message, correlation).catch(reject)
      })
    } finally {
      cancel()
      this.#questions.delete(correlation)
    }
  }

  /** Resolves when the owner has taken a submit, rejects if it has refused it. Call before sending. */
  accepted(run: string, timeoutMs: number): { readonly promise: Promise<void>; readonly forget: () => void } {
    let forget: () => void = () => undefined
    const promise = new Promise<void>((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        forget()
        reject(
          new TaskError(
            'TASKS_UNAVAILABLE',
            `no owner answered the submit within ${timeoutMs} ms: it is stored, and takes effect when a worker is up`,
          ),
        )
      })
      forget = () => {
        cancel()
        this.#submits.delete(run)
      }
      this.#submits.set(run, (error) => {
        forget()
        if (error === undefined) resolve()
        else reject(error)
      })
    })
    return { promise, forget }
  }

  #correlation(): string {
    return `${this.#name}.${this.#sequence++}`
  }

  async #send(partition: number, message: Asking, correlation: string): Promise<void> {
    const body = encodeInbox(message(await this.address(), correlation))
    const [outcome] = await this.#space.send([{ target: { to: 'inbox', partition }, id: correlation, body }])
    if (outcome?.ok === false) throw outcome.error
  }

  async close(): Promise<void> {
    this.#cancelAsking?.()
    const error = new TaskError('TASKS_CLOSED', 'the client was closed')
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.settle(error)
    for (const settle of this.#submits.values()) settle(error)
    for (const { reject } of this.#questions.values()) reject(error)
    await (await this.#address?.catch(() => undefined))?.close()
  }
}
