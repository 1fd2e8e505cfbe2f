// What an owner has of a partition: it polls its inbox, and commits, if no later claim was made. A commit is one synchronous step.
import type { Clock } from '../clock'
import { sleep } from '../clock'
import { TaskError } from '../errors'
import type { Bytes, Commit, InboxMessage, PartitionSession, RowKey } from '../transport'
import type { MemoryFaults } from './faults'
import type { Lifetime } from './lifetime'
import type { Namespace } from './namespace'
import type { Partition } from './partition'
import { PASSING, Slab } from './slab'

export interface SessionOptions {
  readonly namespace: Namespace
  readonly partition: Partition
  readonly lifetime: Lifetime
  readonly faults: MemoryFaults
  readonly lost: AbortSignal
  /** Throws if the commit is over a limit. */
  readonly check: (commit: Commit) => void
}

export class MemorySession implements PartitionSession {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly seq: number
  readonly time: number
  readonly lost: AbortSignal
  /** Whether the last commit of the partition is this session's. */
  hasCommitted = false
  readonly #options: SessionOptions
  readonly #state: Partition
  readonly #clock: Clock
  #polled: number
  #polling = false
  #wake: (() => void) | undefined
  #over: TaskError | undefined

  constructor(options: SessionOptions) {
    const state = options.partition
    this.#options = options
    this.#state = state
    this.#clock = options.namespace.clock
    this.partition = state.index
    this.epoch = state.epoch
    this.claim = `${state.epoch}-${this.#clock.uid()}`
    this.seq = state.seq
    this.time = state.time
    this.lost = options.lost
    this.#polled = state.through
  }

  async load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]> {
    await this.#read()
    return this.#state.rows.load(keys)
  }

  async scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> {
    await this.#read()
    return this.#state.rows.scan(prefix, after, limit)
  }

  async poll(options: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<readonly InboxMessage[]> {
    this.#check()
    if (this.#polling) throw new TaskError('TASKS_ARGUMENTS', 'a session has one poll at a time')
    this.#polling = true
    try {
      if (this.#polled >= this.#state.end && options.waitMs > 0) await this.#arrival(options.waitMs, options.signal)
      this.#check()
      if (options.signal?.aborted) return []
      const messages = this.#next(options.max)
      const fault =
        messages.length > 0 ? this.#options.faults.poll?.({ partition: this.partition, messages }) : undefined
      if (fault === 'lost') throw this.#end('TASKS_UNAVAILABLE', 'poll: a fault that was asked for')
      if (fault !== undefined) await sleep(this.#clock, fault.lateMs)
      if (fault !== undefined) this.#check()
      return messages
    } finally {
      this.#polling = false
    }
  }

  async commit(commit: Commit): Promise<void> {
    this.#check()
    const { namespace, faults, check } = this.#options
    check(commit)
    const fault = faults.commit?.({ partition: this.partition, claim: this.claim, seq: commit.seq })
    if (fault === 'taken') {
      this.#state.epoch++
      this.#state.session = undefined
      this.#state.host = undefined
    }
    if (fault === 'lost') throw this.#end('TASKS_UNAVAILABLE', `commit ${commit.seq}: a fault that was asked for`)
    try {
      if (this.#state.apply(this, commit)) {
        this.hasCommitted = true
        namespace.deliver(commit.sends, faults)
      }
    } catch (error) {
      if ((error as TaskError).code !== 'TASKS_ROW_EXISTS') this.#over = error as TaskError
      throw error
    }
    if (fault === 'unanswered') throw this.#end('TASKS_UNAVAILABLE', `commit ${commit.seq}: a fault that was asked for`)
  }

  /** The inbox has grown, or the session is over. */
  notify(): void {
    this.#wake?.()
  }

  async #read(): Promise<void> {
    this.#check()
    const fault = this.#options.faults.read?.({ partition: this.partition })
    if (fault === undefined) return
    if (fault === 'lost') throw this.#end('TASKS_UNAVAILABLE', 'read: a fault that was asked for')
    await sleep(this.#clock, fault.lateMs)
    this.#check()
  }

  #next(max: number): InboxMessage[] {
    const messages: InboxMessage[] = []
    // Another session may have consumed what this one was going to read; it is fenced, and must not trip over it.
    this.#polled = Math.max(this.#polled, this.#state.through)
    const last = Math.min(this.#state.end, this.#polled + max)
    let total = 0
    for (let place = this.#polled + 1; place <= last; place++) total += this.#state.at(place)!.body.byteLength
    const slab = new Slab(total, PASSING)
    while (this.#polled < last) {
      const { id, body } = this.#state.at(++this.#polled)!
      messages.push({ position: String(this.#polled), id, body: slab.copy(body) })
    }
    return messages
  }

  #arrival(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted || this.lost.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        cancel()
        this.#wake = undefined
        forget()
        signal?.removeEventListener('abort', done)
        this.lost.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#clock.after(waitMs, done)
      const forget = this.#options.lifetime.onEnd(done)
      signal?.addEventListener('abort', done, { once: true })
      this.lost.addEventListener('abort', done, { once: true })
      this.#wake = done
    })
  }

  #check(): void {
    this.#options.lifetime.check()
    if (this.#over !== undefined)
      throw new TaskError('TASKS_FENCED', `claim ${this.claim} is over`, { cause: this.#over })
    this.#state.fence(this)
  }

  #end(code: 'TASKS_UNAVAILABLE', message: string): TaskError {
    this.#over = new TaskError(code, message)
    return this.#over
  }
}
