// Everything that a client waits for, on one subscription: results by pipeline id, acceptances of submits, answers to questions.
// Replies are best effort; so whoever waits asks again after a while of silence, one message per partition for all.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import { fromFailure, type Failure } from '../failure'
import { partitionOf } from '../ids'
import type { Logger } from '../logger'
import type { ReplyAddress, Space } from '../transport'
import { decodeReply, encodeInbox, type Question, type ReplyBody } from '../wire'

export type Ended = ReplyBody & { readonly type: 'ended' }
type Answer = ReplyBody & { readonly type: 'answer' }

/** What has come for a submit that nobody waits for yet. */
interface Expected {
  readonly run: string
  outcome: Ended | Error | undefined
}

/** Submits whose early replies are kept. Older ones are asked for when somebody wants them. */
const MOST_EXPECTED = 10_000

interface Waiter {
  readonly id: string
  /** The run that was submitted; a refusal of it is this waiter's. Undefined: whichever run there is. */
  readonly run: string | undefined
  readonly resolve: (ended: Ended) => void
  readonly reject: (error: Error) => void
}

export class Replies {
  readonly #space: Space
  readonly #clock: Clock
  readonly #logger: Logger
  #address: Promise<ReplyAddress> | undefined
  readonly #waiters = new Map<string, Set<Waiter>>()
  readonly #expected = new Map<string, Expected>()
  readonly #submits = new Map<string, (error: Error | undefined) => void>()
  readonly #questions = new Map<string, (answer: Answer) => void>()
  #cancelAsking: (() => void) | undefined
  #sequence = 0
  readonly #name: string
  readonly #silenceMs: number

  /** @param silenceMs how long a wait for a result goes on in silence before it is asked for again */
  constructor(space: Space, clock: Clock, logger: Logger, silenceMs: number) {
    this.#silenceMs = silenceMs
    this.#space = space
    this.#clock = clock
    this.#logger = logger
    this.#name = clock.uid()
  }

  /** Where this client is replied to. */
  async address(): Promise<string> {
    this.#address ??= this.#space.replies((body) => this.#receive(body))
    return (await this.#address).address
  }

  /** A submit is on its way: its reply may come before anybody waits for it. */
  expect(id: string, run: string): void {
    if (this.#expected.size >= MOST_EXPECTED) for (const [oldest] of this.#expected) { this.#expected.delete(oldest); break }
    this.#expected.set(id, { run, outcome: undefined })
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
      case 'ended': {
        const expected = this.#expected.get(reply.id)
        if (expected !== undefined) expected.outcome = reply
        for (const waiter of this.#waiters.get(reply.id) ?? []) waiter.resolve(reply)
        return
      }
      case 'accepted':
        this.#submits.get(reply.run)?.(undefined)
        return
      case 'refused': {
        const error = fromFailure(reply.failure as Failure)
        const submit = this.#submits.get(reply.run)
        if (submit !== undefined) return submit(error)
        const expected = this.#expected.get(reply.id)
        if (expected?.run === reply.run) expected.outcome = error
        for (const waiter of this.#waiters.get(reply.id) ?? []) if (waiter.run === reply.run) waiter.reject(error)
        return
      }
      case 'answer':
        this.#questions.get(reply.correlation)?.(reply)
    }
  }

  /**
   * Waits for the end of a run.
   * @param run the run that this client submitted; undefined if another process did
   */
  async ended(id: string, run: string | undefined, options: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined }): Promise<Ended> {
    await this.address()
    const { timeoutMs, signal } = options
    signal?.throwIfAborted()
    const expected = this.#expected.get(id)
    const early = expected?.run === run ? expected?.outcome : undefined
    if (early instanceof Error) throw early
    if (early !== undefined) return early
    // Without an expectation nobody has been told that this client waits.
    const ask = expected === undefined || expected.run !== run
    let forget: () => void = () => undefined
    try {
      return await new Promise<Ended>((resolve, reject) => {
        const waiter: Waiter = { id, run, resolve, reject }
        const onAbort = (): void => reject(signal!.reason as Error)
        const cancelTimeout =
          timeoutMs === undefined
            ? (): void => undefined
            : this.#clock.after(timeoutMs, () => reject(new TaskError('TASKS_RESULT_TIMEOUT', `"${id}" did not end within ${timeoutMs} ms; it goes on`)))
        signal?.addEventListener('abort', onAbort, { once: true })
        const waiters = this.#waiters.get(id)
        if (waiters === undefined) this.#waiters.set(id, new Set([waiter]))
        else waiters.add(waiter)
        forget = () => {
          cancelTimeout()
          signal?.removeEventListener('abort', onAbort)
          const left = this.#waiters.get(id)
          left?.delete(waiter)
          if (left?.size === 0) this.#waiters.delete(id)
        }
        if (ask) this.#askFor([id]).catch(reject)
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
        this.#askFor([...this.#waiters.keys()]).catch((error: unknown) => this.#logger.warn({ error }, 'results could not be asked for again'))
        this.#askRegularly()
      },
      { unref: true },
    )
  }

  async #askFor(ids: readonly string[]): Promise<void> {
    const byPartition = new Map<number, string[]>()
    for (const id of ids) {
      const partition = partitionOf(id, this.#space.partitions)
      const same = byPartition.get(partition)
      if (same === undefined) byPartition.set(partition, [id])
      else same.push(id)
    }
    for (const [partition, same] of byPartition) {
      for (let from = 0; from < same.length; from += 500) await this.#send(partition, { ask: 'wait', ids: same.slice(from, from + 500) }, this.#correlation())
    }
  }

  /** Asks the owner of one partition. Rejects with `TASKS_UNAVAILABLE` if none answers in time. */
  async ask(partition: number, question: Question, timeoutMs: number): Promise<unknown> {
    const correlation = this.#correlation()
    await this.address()
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const cancel = this.#clock.after(timeoutMs, () => reject(new TaskError('TASKS_UNAVAILABLE', `no owner of partition ${partition} answered within ${timeoutMs} ms: is a worker up?`)))
        this.#questions.set(correlation, ({ answer }) => {
          cancel()
          resolve(answer)
        })
        this.#send(partition, question, correlation).catch((error: unknown) => {
          cancel()
          reject(error as Error)
        })
      })
    } finally {
      this.#questions.delete(correlation)
    }
  }

  /** Resolves when the owner has taken a submit, rejects if it has refused it. Call before sending. */
  accepted(run: string, timeoutMs: number): { readonly promise: Promise<void>; readonly forget: () => void } {
    let forget: () => void = () => undefined
    const promise = new Promise<void>((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        forget()
        reject(new TaskError('TASKS_UNAVAILABLE', `no owner answered the submit within ${timeoutMs} ms: it is stored, and takes effect when a worker is up`))
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

  async #send(partition: number, question: Question, correlation: string): Promise<void> {
    const body = encodeInbox({ type: 'query', question, replyTo: await this.address(), correlation })
    const [outcome] = await this.#space.send([{ target: { to: 'inbox', partition }, id: correlation, body }])
    if (outcome?.ok === false) throw outcome.error
  }

  async close(): Promise<void> {
    this.#cancelAsking?.()
    const error = new TaskError('TASKS_CLOSED', 'the client was closed')
    for (const waiters of this.#waiters.values()) for (const waiter of [...waiters]) waiter.reject(error)
    for (const settle of [...this.#submits.values()]) settle(error)
    await (await this.#address?.catch(() => undefined))?.close()
  }
}
