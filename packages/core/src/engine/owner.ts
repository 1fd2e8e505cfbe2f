// The owner of one partition: takes what has arrived, folds it through the reducer, commits the batch once, and hands on what became due.
//
//   gather → fold → plan → commit → hand over
//
// O1. One commit is under way at a time, and nothing of a batch is visible, in memory or outside, before its commit has succeeded.
// O2. A commit that did not succeed, or may not have, ends the session: everything in memory is dropped, and whoever claims next starts
//     from the rows. The one exception is `TASKS_TOO_LARGE`, which is certain: the batch is folded again in halves.
// O3. An inbox message that cannot be read or folded becomes a dead letter in the very commit that passes it.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import type { LargeValues } from '../large-values'
import type { Logger } from '../logger'
import type { Bytes, PartitionSession, Position, RowKey, Send, Space } from '../transport'
import { failureValue } from '../value'
import { decodeInbox, encodeReply, entriesNamedBy, type InboxBody, type Outcome } from '../wire'
import { Draft, MissingRow, type Closed, type Dispatch } from './draft'
import { encodeDispatch } from './dispatch'
import { joinResults } from './fan-in'
import type { LaneOwner, LocalItem, LocalLane } from './local-lane'
import { listPipelines } from './queries'
import { needs, outstandingEntries, step, type Input } from './reducer'
import { RowCache } from './row-cache'
import { blobPrefix, decodeRow, encodeRow, JOBS, RunKeys, WINDOWS, windowKey, type GroupRow, type JobRow, type Lane, type TimerRow, type WindowItem, type WindowRow } from './rows'
import { Timers } from './timers'
import type { TakesTurns, Turns } from './turns'
import { windowItems, Windows, type Window } from './windows'

export interface OwnerOptions {
  readonly session: PartitionSession
  readonly space: Space
  readonly values: LargeValues
  readonly lane: LocalLane | undefined
  readonly turns: Turns
  readonly clock: Clock
  readonly logger: Logger
  readonly leaseMs: number
}

/** Inputs in one commit. Enough to make a commit's fixed cost small, few enough to keep it short. */
const MOST_INPUTS = 1_000
/** Inbox messages that changed no row are passed by a commit of their own at this number, or this age. */
const PASS_COUNT = 1_000
const PASS_AGE_MS = 10_000
/** A clock that jumps ahead further than this, against the time that has passed, is not believed. */
const MOST_JUMP_MS = 60_000

interface Arrived {
  readonly input: Input
  /** Inbox messages only. */
  readonly position?: Position
  readonly id?: string
  readonly body?: Bytes
  /** How much it counts towards a batch. */
  readonly weight: number
  readonly bytes: number
  /** The owner's own inputs: called when the commit with it has succeeded. */
  readonly done?: () => void
}

/** An inbox message that no step could take. */
interface Poison {
  readonly arrived: Arrived
  readonly error: unknown
}

interface Folded {
  readonly draft: Draft
  readonly batch: readonly Arrived[]
  readonly poison: readonly Poison[]
}

export class Owner implements LaneOwner, TakesTurns {
  readonly partition: number
  readonly #session: PartitionSession
  readonly #space: Space
  readonly #values: LargeValues
  readonly #lane: LocalLane | undefined
  readonly #turns: Turns
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number

  readonly #cache: RowCache
  readonly #timers = new Timers()
  readonly #windows = new Windows()
  /** Groups with chains still to be started. */
  readonly #pumps = new Map<RowKey, JobRow & { kind: 'pump' }>()
  /** A group has come that no turn has looked at. */
  #newPump = false
  /** Who waits for which run, besides its submitter. */
  readonly #waiters = new Map<string, Set<string>>()

  #inbox: Arrived[] = []
  #outcomes: Outcome[] = []
  #own: Arrived[] = []

  #seq: number
  #lastNow: number
  #lastMonotonic: number
  #clockOffset = 0
  #jumpTold = false
  /** Messages behind the last committed position that changed no row. */
  #passed: { count: number; position: Position; since: number } | undefined

  #busy = false
  #ending = false
  #over = false
  #wakeEnd: (() => void) | undefined
  #inboxDrained: (() => void) | undefined
  #cancelAlarm: (() => void) | undefined
  #alarmAt = Infinity
  readonly #stopPolling = new AbortController()

  constructor(options: OwnerOptions) {
    this.#session = options.session
    this.#space = options.space
    this.#values = options.values
    this.#lane = options.lane
    this.#turns = options.turns
    this.#clock = options.clock
    this.#logger = options.logger
    this.#leaseMs = options.leaseMs
    this.partition = options.session.partition
    this.#cache = new RowCache(options.session, options.space.blobs)
    this.#seq = options.session.seq
    this.#lastNow = options.session.time
    this.#lastMonotonic = options.clock.monotonic()
  }

  /** Owns the partition until it is lost, or asked to be given back. Never rejects. */
  async run(): Promise<void> {
    const onLost = (): void => this.#end()
    this.#session.lost.addEventListener('abort', onLost, { once: true })
    try {
      this.#clockOffset = (await this.#space.now()) - this.#clock.now()
      await this.#restore()
      if (this.#session.lost.aborted) return
      this.#lane?.attach(this)
      const polling = this.#pollInbox()
      const stopChecking = this.#checkWindowsRegularly()
      this.#request('now')
      await new Promise<void>((resolve) => {
        this.#wakeEnd = resolve
        if (this.#ending && !this.#busy) resolve()
      })
      stopChecking()
      await this.#giveBack()
      this.#stopPolling.abort()
      await polling
    } catch (error) {
      this.#logger.warn({ partition: this.partition, error }, 'a partition was lost')
    } finally {
      this.#over = true
      this.#cancelAlarm?.()
      this.#stopPolling.abort()
      this.#session.lost.removeEventListener('abort', onLost)
    }
  }

  // ---- What comes in ------------------------------------------------------------------------------------------------

  outcome(outcome: Outcome, quiet: boolean): void {
    this.#outcomes.push(outcome)
    this.#request(quiet ? 'now' : 'soon')
  }

  requeue(dispatches: readonly Dispatch[]): void {
    void this.#say({ type: 'requeue', dispatches }, dispatches.length)
  }

  roomAgain(): void {
    if (this.#pumps.size > 0) this.#request('soon')
  }

  /** An input of the owner's own; resolves when it has been committed. */
  #say(input: Input, weight = 1): Promise<void> {
    return new Promise((resolve) => {
      this.#own.push({ input, weight, bytes: 0, done: resolve })
      this.#request('now')
    })
  }

  async #pollInbox(): Promise<void> {
    const { signal } = this.#stopPolling
    try {
      while (!this.#over && !signal.aborted) {
        const messages = await this.#session.poll({ max: MOST_INPUTS, waitMs: 3 * this.#leaseMs, signal })
        if (messages.length === 0) continue
        for (const message of messages) this.#inbox.push(arrivedOf(message))
        this.#request('now')
        // Back-pressure: what is not folded yet stays with the transport.
        if (this.#inbox.length > 4 * MOST_INPUTS) await new Promise<void>((resolve) => (this.#inboxDrained = resolve))
      }
    } catch (error) {
      if (!this.#ending) this.#fail(error)
    }
  }

  #request(when: 'now' | 'soon'): void {
    if (!this.#busy && !this.#over) this.#turns.request(this, when)
  }

  // ---- One turn -----------------------------------------------------------------------------------------------------

  turn(): void {
    if (this.#busy || this.#over) return
    this.#busy = true
    this.#takeTurn().then(
      (again) => {
        this.#busy = false
        if (this.#ending) this.#wakeEnd?.()
        else if (again || this.#own.length > 0 || this.#outcomes.length > 0 || this.#inbox.length > 0) this.#request('now')
        else this.#setAlarm()
      },
      (error: unknown) => {
        this.#busy = false
        this.#fail(error)
      },
    )
  }

  /** Returns whether there is more to do at once. */
  async #takeTurn(): Promise<boolean> {
    const refilling = this.#timers.refill(this.#scan)
    if (refilling !== undefined) await refilling
    const batch = this.#gather()
    if (batch.length === 0) return this.#passIfOld()
    return this.#process(batch)
  }

  async #process(batch: readonly Arrived[]): Promise<boolean> {
    const folding = this.#fold(batch)
    const folded = folding instanceof Promise ? await folding : folding
    try {
      return await this.#commit(folded)
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_TOO_LARGE') throw error
      return this.#processInHalves(batch, error)
    }
  }

  async #processInHalves(batch: readonly Arrived[], error: TaskError): Promise<boolean> {
    if (batch.length > 1) {
      const half = batch.length >> 1
      await this.#process(batch.slice(0, half))
      return this.#process(batch.slice(half))
    }
    const [arrived] = batch
    const { input } = arrived!
    if (input.type === 'outcomes' && input.outcomes.length > 1) {
      // Only the last part carries the position: until then the message is not consumed.
      const half = input.outcomes.length >> 1
      await this.#process([{ input: { type: 'outcomes', outcomes: input.outcomes.slice(0, half) }, weight: half, bytes: 0 }])
      return this.#process([{ ...arrived!, input: { type: 'outcomes', outcomes: input.outcomes.slice(half) } }])
    }
    if (input.type === 'pump' && input.count > 1) return this.#process([{ ...arrived!, input: { ...input, count: input.count >> 1 } }])
    if (arrived!.position === undefined) throw error
    return this.#commit({ draft: this.#newDraft(), batch, poison: [{ arrived: arrived!, error }] })
  }

  #gather(): Arrived[] {
    const batch: Arrived[] = []
    const { maxCommitBytes, maxCommitItems } = this.#space.capabilities
    let weight = Math.max(1, Math.min(MOST_INPUTS, Math.floor(maxCommitItems / 8)))
    let bytes = maxCommitBytes >> 2
    const room = (): boolean => weight > 0 && bytes > 0

    const own = this.#own
    let taken = 0
    for (; taken < own.length && room(); taken++) {
      batch.push(own[taken]!)
      weight -= own[taken]!.weight
    }
    this.#own = own.slice(taken)

    if (this.#outcomes.length > 0 && room()) {
      const outcomes = this.#outcomes
      let count = 0
      for (; count < outcomes.length && room(); count++) {
        weight--
        bytes -= outcomes[count]!.value.bytes.length
      }
      this.#outcomes = outcomes.slice(count)
      batch.push({ input: { type: 'outcomes', outcomes: count === outcomes.length ? outcomes : outcomes.slice(0, count) }, weight: count, bytes: 0 })
    }

    const inbox = this.#inbox
    for (taken = 0; taken < inbox.length && room(); taken++) {
      batch.push(inbox[taken]!)
      weight -= inbox[taken]!.weight
      bytes -= inbox[taken]!.bytes
    }
    this.#inbox = inbox.slice(taken)
    if (this.#inbox.length < MOST_INPUTS) {
      this.#inboxDrained?.()
      this.#inboxDrained = undefined
    }

    if (weight > 0 && this.#timers.next !== undefined) {
      for (const { key, row } of this.#timers.due(this.#now(), weight)) batch.push({ input: { type: 'timer', key, timer: row }, weight: 1, bytes: 0 })
    }
    if (!this.#ending) for (const [job, count] of this.#pumpsDue()) batch.push({ input: { type: 'pump', job, count }, weight: count, bytes: 0 })
    return batch
  }

  /** Which groups may start how many further chains: as many as this process has room for, and more through the queue when it is busy. */
  #pumpsDue(): readonly (readonly [JobRow & { kind: 'pump' }, number])[] {
    if (this.#pumps.size === 0) return []
    const lane = this.#lane
    const room = lane?.room() ?? 0
    const overflow = lane === undefined || lane.isBusy() ? MOST_INPUTS >> 1 : 0
    const share = Math.ceil(Math.max(room, overflow) / this.#pumps.size)
    if (share === 0) return []
    const most = Math.max(1, Math.min(share, Math.floor(this.#space.capabilities.maxCommitItems / 8)))
    const due: (readonly [JobRow & { kind: 'pump' }, number])[] = []
    for (const job of this.#pumps.values()) {
      due.push([job, most])
      if (due.length === 32) break
    }
    return due
  }

  #newDraft(): Draft {
    return new Draft(this.#cache, this.#seq + 1, this.#now())
  }

  /** Folds a batch. Stays synchronous when every row is known. */
  #fold(batch: readonly Arrived[]): Folded | Promise<Folded> {
    const missing: RowKey[] = []
    for (const { input } of batch) for (const key of needs(input)) if (this.#cache.get(key) === undefined) missing.push(key)
    const loading = missing.length === 0 ? undefined : this.#cache.load(missing)
    if (loading !== undefined) return loading.then(() => this.#foldKnown(batch, []))
    return this.#foldKnown(batch, [])
  }

  #foldKnown(batch: readonly Arrived[], known: readonly Poison[]): Folded | Promise<Folded> {
    const draft = this.#newDraft()
    const missing: RowKey[] = []
    const poison: Poison[] = [...known]
    for (const arrived of batch) {
      if (known.some((bad) => bad.arrived === arrived)) continue
      try {
        if (arrived.input.type === 'running') this.#windows.report(arrived.input.items, draft.now)
        step(draft, arrived.input)
      } catch (error) {
        if (error instanceof MissingRow) missing.push(error.key)
        // After a miss the draft is only good for finding further misses.
        else if (missing.length === 0) poison.push({ arrived, error })
      }
    }
    if (missing.length > 0) return this.#cache.load(missing)!.then(() => this.#foldKnown(batch, known))
    // What a poisoned input has half done must not be committed: fold again without it.
    if (poison.length > known.length) return this.#foldKnown(batch, poison)
    return { draft, batch, poison }
  }

  // ---- Commit -------------------------------------------------------------------------------------------------------

  async #commit({ draft, batch, poison }: Folded): Promise<boolean> {
    for (const bad of poison) this.#condemn(draft, bad)
    const position = lastPosition(batch)
    const replies = this.#repliesOf(draft)
    if (draft.changed.size === 0 && draft.results.size === 0 && draft.dispatches.length === 0 && draft.sends.every(({ target }) => target.to === 'reply')) {
      this.#pass(batch, position)
      await this.#answerNow(draft, replies)
      this.#settled(draft, batch)
      return this.#passIfOld()
    }

    const counts = this.#windows.count(draft.closed)
    for (const [window, count] of counts) if (window.open <= count) draft.delete(window.key)
    const { local, sends, window } = this.#plan(draft)
    for (const reply of replies) sends.push(reply)
    const rows = new Map<RowKey, Bytes | null>()
    for (const [key, row] of draft.changed) {
      if (row !== null) rows.set(key, encodeRow(key, row))
      // A row that came and went within this draft was never stored.
      else if (this.#cache.get(key) !== null) rows.set(key, null)
    }
    for (const [key, writer] of draft.results) rows.set(key, writer.bytes())
    try {
      await this.#session.commit({
        seq: draft.seq,
        time: draft.now,
        ...(position === undefined ? {} : { through: position }),
        rows,
        sends,
      })
    } catch (error) {
      if (local.length > 0) this.#lane!.release(local.length)
      throw error
    }
    this.#seq = draft.seq
    this.#lastNow = draft.now
    this.#lastMonotonic = this.#clock.monotonic()
    if (position !== undefined) this.#passed = undefined
    this.#cache.apply(draft)
    this.#windows.apply(draft.closed, counts)
    if (window !== undefined) this.#windows.add(window, draft.dispatches.length, this.#clock.now() + 3 * this.#leaseMs)
    this.#index(draft)
    if (local.length > 0) this.#lane!.submit(local)
    this.#settled(draft, batch)
    const pumped = batch.some(({ input }) => input.type === 'pump') && draft.dispatches.length > 0
    const pumpAgain = this.#newPump || pumped
    this.#newPump = false
    return pumpAgain && this.#pumpsDue().length > 0
  }

  /** Chooses the lane of each dispatch, and notes them all in one window. */
  #plan(draft: Draft): { readonly local: readonly LocalItem[]; readonly sends: Send[]; readonly window: WindowRow | undefined } {
    const prefix = `${this.#session.claim}.${draft.seq}.`
    const sends: Send[] = draft.sends.map(({ target, body }, index) => ({ target, body, id: prefix + index }))
    if (draft.dispatches.length === 0) return { local: [], sends, window: undefined }
    const local: LocalItem[] = []
    const lanes: (readonly [Dispatch, Lane])[] = []
    const queues = new Set<string>()
    const lane = this.#ending ? undefined : this.#lane
    let room = lane?.room() ?? 0
    for (const dispatch of draft.dispatches) {
      const { step: use, shared } = dispatch
      const queue = use.queue ?? 'default'
      if (room > 0 && !shared && use.priority === undefined && lane!.serves(queue, use.task)) {
        room--
        local.push({ partition: this.partition, dispatch })
        lanes.push([dispatch, 'local'])
      } else {
        queues.add(queue)
        sends.push({
          target: use.priority === undefined ? { to: 'task', queue } : { to: 'task', queue, priority: use.priority },
          id: prefix + sends.length,
          body: encodeDispatch(dispatch, draft.now),
        })
        lanes.push([dispatch, 'queue'])
      }
    }
    if (local.length > 0) lane!.reserve(local.length)
    const window: WindowRow = { seq: draft.seq, epoch: this.#session.epoch, sentAt: draft.now, queues: [...queues], items: windowItems(lanes) }
    draft.put(windowKey(draft.seq), window)
    return { local, sends, window }
  }

  /** Replies for those who wait in memory, and answers to questions: they leave with the commit that they speak of. */
  #repliesOf(draft: Draft): Send[] {
    if (draft.ended.length === 0 && draft.answers.length === 0 && draft.waiting.length === 0) return []
    const replies: Send[] = []
    const reply = (address: string, body: Bytes): void =>
      void replies.push({ target: { to: 'reply', address }, id: `${this.#session.claim}.${draft.seq}.r${replies.length}`, body })
    for (const { id, run, status, value } of draft.ended) {
      const addresses = new Set([...(this.#waiters.get(id) ?? []), ...draft.waiting.filter((waiter) => waiter.id === id).map(({ replyTo }) => replyTo)])
      for (const address of addresses) reply(address, encodeReply({ type: 'ended', id, run, status, value }))
    }
    for (const { replyTo, correlation, answer } of draft.answers) {
      reply(replyTo, encodeReply({ type: 'answer', correlation, partition: this.partition, epoch: this.#session.epoch, seq: this.#seq, answer }))
    }
    return replies
  }

  async #answerNow(draft: Draft, replies: readonly Send[]): Promise<void> {
    const prefix = `${this.#session.claim}.${draft.seq}.q`
    const sends = [...draft.sends.map(({ target, body }, index) => ({ target, body, id: prefix + index })), ...replies]
    if (sends.length === 0) return
    for (const outcome of await this.#space.send(sends)) {
      // Best effort: who asked asks again.
      if (!outcome.ok) this.#logger.debug({ partition: this.partition, error: outcome.error }, 'a reply could not be sent')
    }
  }

  /** Takes note of timers and jobs that a commit has written, and starts the jobs. */
  #index(draft: Draft): void {
    for (const [key, row] of draft.changed) {
      if (key.charCodeAt(1) !== 47 /* / */) continue
      if (key.startsWith('T')) {
        if (row !== null) this.#timers.added(key, row as TimerRow)
      } else if (key.startsWith('X')) {
        if (row === null) this.#pumps.delete(key)
        else this.#startJob(key, row as JobRow)
      }
    }
  }

  #settled(draft: Draft, batch: readonly Arrived[]): void {
    for (const { id } of draft.ended) this.#waiters.delete(id)
    for (const { id, replyTo } of draft.waiting) {
      if (draft.ended.some((ended) => ended.id === id)) continue
      const addresses = this.#waiters.get(id)
      if (addresses === undefined) this.#waiters.set(id, new Set([replyTo]))
      else addresses.add(replyTo)
    }
    for (const list of draft.lists) void this.#answerList(list)
    for (const { done } of batch) done?.()
  }

  /** Messages that changed no row need no commit of their own; their position rides on the next one. */
  #pass(batch: readonly Arrived[], position: Position | undefined): void {
    if (position === undefined) return
    const count = batch.filter((arrived) => arrived.position !== undefined).length
    this.#passed = { count: (this.#passed?.count ?? 0) + count, position, since: this.#passed?.since ?? this.#clock.now() }
  }

  async #passIfOld(): Promise<boolean> {
    const passed = this.#passed
    if (passed === undefined || (passed.count < PASS_COUNT && this.#clock.now() - passed.since < PASS_AGE_MS)) return false
    const seq = this.#seq + 1
    await this.#session.commit({ seq, time: this.#now(), through: passed.position, rows: new Map(), sends: [] })
    this.#seq = seq
    this.#passed = undefined
    return false
  }

  /** A message that no step can take: its bytes are kept, and whoever waits for it is told. */
  #condemn(draft: Draft, { arrived, error }: Poison): void {
    const { input, body, id } = arrived
    const message = error instanceof Error ? error.message : String(error)
    if (body === undefined) {
      this.#logger.error({ partition: this.partition, input: input.type, error }, 'an internal step failed')
      return
    }
    this.#logger.error({ partition: this.partition, message: id, error }, 'an inbox message became a dead letter')
    const reason = TaskError.is(error) && error.code === 'TASKS_TOO_LARGE' ? 'too-large' : 'undecodable'
    draft.send({ to: 'dead', letter: { reason, message, source: `inbox/${this.partition}` } }, body)
    if (input.type === 'submit' && input.options.replyTo !== undefined) {
      const code = TaskError.is(error) ? error.code : 'TASKS_UNDECODABLE'
      draft.reply(input.options.replyTo, { type: 'refused', id: input.id, run: input.run, failure: { code, name: 'TaskError', message } })
    }
    for (const entry of entriesNamedBy(body)) {
      const failure = failureValue({ code: 'TASKS_DEAD_LETTERED', name: 'TaskError', message: `the result of ${entry.id}${entry.path} could not be read: ${message}` })
      // In a commit of its own: this draft must hold nothing of the poisoned message.
      this.#outcomes.push({ ...entry, value: failure, verdict: { retryable: false } })
    }
  }

  // ---- Long work ----------------------------------------------------------------------------------------------------

  readonly #scan = (prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]> =>
    this.#session.scan(prefix, after, limit)

  #startJob(key: RowKey, job: JobRow): void {
    switch (job.kind) {
      case 'pump':
        this.#pumps.set(key, job)
        this.#newPump = true
        return
      case 'fan-in':
        return this.#work(job, () => this.#fanIn(job))
      case 'clean':
        return this.#work(job, () => this.#clean(job))
    }
  }

  /** Runs a job beside the turns; tries again if it fails. The job's row stays until its last step: whoever owns the partition does it. */
  #work(job: JobRow, run: () => Promise<void>, failures = 0): void {
    run().catch((error: unknown) => {
      if (this.#over || this.#ending) return
      this.#logger.warn({ partition: this.partition, job: job.kind, id: job.id, error }, 'a step of long work failed and is tried again')
      this.#clock.after(Math.min(30_000, 100 * 2 ** failures), () => this.#work(job, run, failures + 1), { unref: true })
    })
  }

  async #fanIn(job: JobRow): Promise<void> {
    const key = new RunKeys(job.id, job.gen).group(job.path)
    await this.#cache.load([key])
    const group = this.#cache.get(key) as GroupRow | null | undefined
    if (group == null) return
    const joined = await joinResults(this.#scan, job, group, this.#values.sink(blobPrefix(job.id, job.run)))
    await this.#say({ type: 'joined', job, joined })
  }

  async #clean(job: JobRow & { kind: 'clean' }): Promise<void> {
    if (job.blobs) await this.#space.blobs.drop(blobPrefix(job.id, job.run))
    const prefix = new RunKeys(job.id, job.gen).all
    for (;;) {
      const rows = await this.#scan(prefix, undefined, 500)
      const done = rows.length < 500
      await this.#say({ type: 'cleaned', job, keys: rows.map(([key]) => key), done }, rows.length)
      if (done || this.#over) return
    }
  }

  async #answerList({ replyTo, correlation, question }: Draft['lists'][number]): Promise<void> {
    try {
      const answer = await listPipelines(this.#scan, question)
      const body = encodeReply({ type: 'answer', correlation, partition: this.partition, epoch: this.#session.epoch, seq: this.#seq, answer })
      await this.#space.send([{ target: { to: 'reply', address: replyTo }, id: `${this.#session.claim}.l${correlation}`, body }])
    } catch (error) {
      this.#logger.debug({ partition: this.partition, error }, 'a list could not be answered')
    }
  }

  // ---- Windows ------------------------------------------------------------------------------------------------------

  #checkWindowsRegularly(): () => void {
    let cancel: () => void = () => undefined
    const again = (): void => {
      cancel = this.#clock.after(
        this.#leaseMs / 2,
        () => {
          this.#checkWindows().catch((error: unknown) => this.#logger.warn({ partition: this.partition, error }, 'dispatch windows could not be checked')).finally(again)
        },
        { unref: true },
      )
    }
    again()
    return () => cancel()
  }

  async #checkWindows(): Promise<void> {
    if (this.#over || this.#ending) return
    const now = this.#clock.now()
    this.#windows.forgetReports(now - 4 * this.#leaseMs)
    for (const window of this.#windows.due(now)) {
      if (await this.#mayStillWait(window)) {
        window.drainedAt = undefined
        window.due = now + this.#leaseMs
        continue
      }
      if (window.drainedAt === undefined) {
        // From here on whoever has one of its entries has two leases to say so.
        window.drainedAt = now
        window.due = now + 2 * this.#leaseMs
        continue
      }
      const lost: WindowItem[] = []
      for (const item of window.row.items) {
        for (const entry of await this.#outstanding(item)) {
          if (this.#lane?.isRunning(entry) || this.#windows.reportedSince(entry, now - 2 * this.#leaseMs)) continue
          lost.push({ lane: item.lane, ...entry })
        }
      }
      window.due = now + this.#leaseMs
      if (lost.length === 0) continue
      this.#logger.warn({ partition: this.partition, entries: lost.length }, 'tasks that nobody reports are sent again')
      await this.#say({ type: 'resend', items: lost }, lost.length)
    }
  }

  async #mayStillWait({ row }: Window): Promise<boolean> {
    for (const queue of row.queues) {
      const age = await this.#space.backlog(queue)
      if (age !== undefined && age >= this.#now() - row.sentAt) return true
    }
    return false
  }

  async #outstanding(item: WindowItem): Promise<readonly Closed[]> {
    for (;;) {
      try {
        return outstandingEntries(this.#newDraft(), item)
      } catch (error) {
        if (!(error instanceof MissingRow)) throw error
        await this.#cache.load([error.key])
      }
    }
  }

  // ---- Beginning and end --------------------------------------------------------------------------------------------

  async #restore(): Promise<void> {
    await this.#timers.restore(this.#scan)
    for await (const [key, row] of this.#rows<JobRow>(JOBS)) this.#startJob(key, row)
    for await (const [, row] of this.#rows<WindowRow>(WINDOWS)) {
      const outstanding: Closed[] = []
      const lost: WindowItem[] = []
      for (const item of row.items) {
        const entries = await this.#outstanding(item)
        outstanding.push(...entries)
        // What an earlier owner had in its own process is lost, unless that process is this one.
        if (item.lane === 'local') for (const entry of entries) if (!this.#lane?.isRunning(entry)) lost.push({ lane: 'local', ...entry })
      }
      const window = this.#windows.add(row, outstanding.length, this.#clock.now() + 2 * this.#leaseMs)
      if (lost.length > 0) void this.#say({ type: 'resend', items: lost }, Math.min(lost.length, MOST_INPUTS))
      else if (outstanding.length === 0) this.#windows.drop(window)
    }
  }

  async *#rows<T>(prefix: string): AsyncGenerator<readonly [RowKey, T]> {
    let after: RowKey | undefined
    for (;;) {
      const page = await this.#session.scan(prefix, after, 500)
      for (const [key, bytes] of page) yield [key, decodeRow(key, bytes) as T]
      if (page.length < 500) return
      after = page.at(-1)![0]
    }
  }

  #end(): void {
    if (this.#ending) return
    this.#ending = true
    this.#stopPolling.abort()
    if (!this.#busy) this.#wakeEnd?.()
  }

  #fail(error: unknown): void {
    if (this.#over) return
    const expected = TaskError.is(error) && (error.code === 'TASKS_FENCED' || error.code === 'TASKS_CLOSED')
    this.#logger[expected ? 'debug' : 'warn']({ partition: this.partition, error }, 'a session has ended')
    this.#over = true
    this.#ending = true
    this.#stopPolling.abort()
    this.#wakeEnd?.()
  }

  /** A planned hand-over: what was not started goes to the queue, and what runs is left to its process, which reports it. */
  async #giveBack(): Promise<void> {
    const unstarted = this.#lane?.detach(this) ?? []
    if (this.#over) return
    const batch: Arrived[] = this.#outcomes.length === 0 ? [] : [{ input: { type: 'outcomes', outcomes: this.#outcomes }, weight: 1, bytes: 0 }]
    if (unstarted.length > 0) batch.push({ input: { type: 'requeue', dispatches: unstarted }, weight: 1, bytes: 0 })
    try {
      if (batch.length > 0) await this.#process(batch)
      const draft = this.#newDraft()
      for (const { key, row } of this.#windows.all()) {
        if (!row.items.some(({ lane }) => lane === 'local')) continue
        draft.put(key, { ...row, items: row.items.map((item) => ({ ...item, lane: 'queue' as const })) })
      }
      if (draft.changed.size > 0) await this.#commit({ draft, batch: [], poison: [] })
    } catch (error) {
      // Lost in the meantime: whoever has the partition sends again what it must.
      this.#logger.debug({ partition: this.partition, error }, 'a partition could not be handed over')
    }
  }

  // ---- Time ---------------------------------------------------------------------------------------------------------

  /** The store's clock, never going back, and never believed when it jumps. */
  #now(): number {
    const now = Math.floor(this.#clock.now() + this.#clockOffset)
    if (this.#lastNow === 0) return now
    const expected = Math.floor(this.#lastNow + this.#clock.monotonic() - this.#lastMonotonic)
    if (this.#seq > this.#session.seq && now > expected + MOST_JUMP_MS) {
      if (!this.#jumpTold) this.#logger.error({ partition: this.partition, aheadMs: now - expected }, 'the clock has jumped ahead and is not believed')
      this.#jumpTold = true
      return expected
    }
    return Math.max(now, this.#lastNow)
  }

  #setAlarm(): void {
    const timer = this.#timers.next
    const pass = this.#passed === undefined ? Infinity : this.#passed.since + PASS_AGE_MS
    const at = Math.min(timer === undefined ? Infinity : timer - this.#clockOffset, pass)
    if (at === this.#alarmAt) return
    this.#cancelAlarm?.()
    this.#cancelAlarm = undefined
    this.#alarmAt = at
    if (at === Infinity) return
    this.#cancelAlarm = this.#clock.after(
      Math.max(0, at - this.#clock.now()),
      () => {
        this.#alarmAt = Infinity
        this.#request('now')
      },
      { unref: true },
    )
  }
}

function arrivedOf({ position, id, body }: { readonly position: Position; readonly id: string; readonly body: Bytes }): Arrived {
  try {
    const input: InboxBody = decodeInbox(body)
    return { input, position, id, body, weight: input.type === 'outcomes' ? input.outcomes.length : 1, bytes: body.length }
  } catch (error) {
    return { input: { type: 'undecodable', error }, position, id, body, weight: 1, bytes: body.length }
  }
}

function lastPosition(batch: readonly Arrived[]): Position | undefined {
  for (let index = batch.length - 1; index >= 0; index--) if (batch[index]!.position !== undefined) return batch[index]!.position
  return undefined
}
