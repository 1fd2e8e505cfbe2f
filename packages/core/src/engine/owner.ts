// The owner of one partition: takes what has arrived, folds it through the reducer, commits the batch once, and hands on what became due.
//
//   gather → fold → plan → commit → hand over
//
// O1. One commit is under way at a time, and nothing of a batch is visible, in memory or outside, before its commit has succeeded.
// O2. A commit that did not succeed, or may not have, ends the session: everything in memory is dropped, and whoever claims next starts
//     from the rows. Only outcomes of this process are not: nobody else knows them, so they go to the inbox. The one exception is `TASKS_TOO_LARGE`, which is certain: the batch is folded again in halves.
// O3. An inbox message that cannot be read or folded becomes a dead letter in the very commit that passes it. Of many outcomes in one message
//     only the bad one does, and its entry fails. What it says to itself fails in the same way: its entry, or else its run; and an entry that is offered an event.
import type { Clock } from '../clock'
import { TaskError } from '../errors'
import { sourceOf } from '../events/cloud-event'
import type { EventLevel } from '../events/pipeline-event'
import type { LargeValues } from '../large-values'
import type { Logger } from '../logger'
import type { Bytes, PartitionSession, RowKey, Send, Space } from '../transport'
import type { Outcome, SubmitMessage } from '../wire/inbox-message'
import { encodeReply } from '../wire/reply'
import { encodeSignal } from '../wire/signal'
import { answerTo, refusalOf } from './answers'
import { Arrivals, lastPosition, MOST_INPUTS, mostInputs, type Arrived } from './arrivals'
import { Attached } from './attached'
import { condemn, insteadOf } from './condemned'
import { DailySweep } from './daily-sweep'
import { Draft, type Dispatch, type Home } from './draft'
import { levelOf } from './emit'
import { eventSends, type CommitAnnouncer } from './event-sends'
import type { ScanRows } from './fan-in'
import { fold, type Folded, type FoldOptions } from './fold'
import { halfOf, halvesOf, isBundle } from './halves'
import { HeadStart } from './head-start'
import { Jobs } from './jobs'
import type { LaneOwner, LocalLane } from './local-lane'
import { Markers } from './markers'
import { PartitionClock } from './partition-clock'
import type { OwnerHere } from './owners-here'
import { Passed } from './passed'
import { encodeRows, planCommit, repliesOf } from './commit-plan'
import type { Input } from './input'
import { step } from './reducer'
import { RowCache } from './row-cache'
import type { RowSource } from './row-source'
import { decodeRow, encodeRow } from './row-codec'
import { JOBS, TIMERS, WINDOWS } from './row-keys'
import type { JobRow, TimerRow, WindowRow } from './rows'
import { Timers } from './timers'
import type { TakesTurns, Turns } from './turns'
import { WindowWatch } from './window-watch'
import { Windows } from './windows'

export interface OwnerOptions {
  readonly session: PartitionSession
  readonly space: Space
  readonly values: LargeValues
  readonly lane: LocalLane | undefined
  readonly turns: Turns
  readonly clock: Clock
  readonly logger: Logger
  readonly leaseMs: number
  /** What is said of pipelines. */
  readonly events: EventLevel
  /** Undefined: nobody publishes what workers say. */
  readonly announcer: CommitAnnouncer | undefined
  /** How many bytes of the entries of a run are kept when it has ended. */
  readonly treeBytes: number
}

const RESTORE_PAGE = 500

export class Owner implements LaneOwner, OwnerHere, TakesTurns {
  readonly partition: number
  readonly #session: PartitionSession
  readonly #space: Space
  readonly #lane: LocalLane | undefined
  readonly #turns: Turns
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number
  readonly #level: number
  readonly #announcer: CommitAnnouncer | undefined
  readonly #home: Home
  readonly #treeBytes: number
  readonly #eventSource: string

  readonly #time: PartitionClock
  readonly #cache: RowCache
  readonly #source: RowSource
  readonly #mostAnswered: number
  readonly #arrivals = new Arrivals()
  readonly #timers = new Timers()
  readonly #windows = new Windows()
  readonly #watch: WindowWatch
  readonly #jobs: Jobs
  readonly #dailySweep: DailySweep
  readonly #headStart: HeadStart
  readonly #folding: FoldOptions
  readonly #attached = new Attached()
  readonly #markers: Markers
  #seq: number
  /** Behind the last committed position. */
  readonly #passed = new Passed()

  /** A turn is under way, or the beginning or the end of the session. */
  #busy = true
  /** While a turn was under way. */
  #roomCame = false
  /** Submits of this process that are not committed yet. */
  readonly #submitting = new Set<(isCommitted: boolean) => void>()
  #takesSubmits = false
  /** Nothing more is taken in. */
  #ending = false
  /** Nothing more can be committed. */
  #over = false
  #onEnd: (() => void) | undefined
  #cancelAlarm: () => void = () => undefined
  #alarmAt = Infinity
  readonly #stopPolling = new AbortController()

  constructor(options: OwnerOptions) {
    const { session, space, values, lane, turns, clock, logger, leaseMs, events, announcer, treeBytes } = options
    this.#session = session
    this.#space = space
    this.#lane = lane
    this.#turns = turns
    this.#clock = clock
    this.#logger = logger
    this.#leaseMs = leaseMs
    this.#level = levelOf(events)
    this.#announcer = announcer
    this.#treeBytes = treeBytes
    this.#home = { partition: session.partition, partitions: space.partitions }
    this.#eventSource = sourceOf(space.namespace)
    this.partition = session.partition
    this.#seq = session.seq
    this.#time = new PartitionClock(clock, logger, session.time)
    this.#markers = new Markers(space, session, clock)
    this.#cache = new RowCache(session, space.blobs)
    this.#headStart = new HeadStart(clock)
    const assumes = space.capabilities.checksAbsent === true
    this.#folding = { cache: this.#cache, newDraft: () => this.#newDraft(), assumes }
    this.#source = { load: (keys) => session.load(keys), scan: this.#scan, blobs: space.blobs }
    this.#mostAnswered = values.limits.messageBytes
    const { partition } = this
    const say = (input: Input, weight: number): Promise<void> => this.#say(input, weight)
    const isOver = (): boolean => this.#over || this.#ending
    const shared = { space, cache: this.#cache, lane, clock, logger, partition, say, isOver }
    this.#dailySweep = new DailySweep(shared)
    this.#jobs = new Jobs({ ...shared, values, scan: this.#scan })
    this.#watch = new WindowWatch({
      ...shared,
      windows: this.#windows,
      leaseMs,
      newDraft: () => this.#newDraft(),
      caughtUp: () => this.#markers.caughtUp(),
    })
  }

  /** Owns the partition until it is lost, or asked to be given back. Never rejects. */
  async run(): Promise<void> {
    const onLost = (): void => this.#end()
    this.#session.lost.addEventListener('abort', onLost, { once: true })
    try {
      this.#time.setStoreTime(await this.#space.now())
      await this.#restore()
      if (this.#session.lost.aborted) return
      this.#lane?.attach(this)
      const polling = this.#pollInbox()
      this.#watch.start()
      this.#dailySweep.start()
      if (this.#lane !== undefined)
        this.#markers.caughtUp().then(
          () => this.#headStart.allow(),
          () => undefined,
        )
      this.#busy = false
      this.#takesSubmits = true
      this.#request('now')
      await new Promise<void>((resolve) => {
        // From here on the hand-over has the commits to itself.
        this.#onEnd = () => {
          this.#busy = true
          resolve()
        }
        if (this.#ending && !this.#busy) this.#onEnd()
      })
      await this.#handOver()
      this.#lane?.toInbox(this.#arrivals.takeUncommitted())
      await polling
    } catch (error) {
      this.#logger.warn({ partition: this.partition, error }, 'a partition was lost')
    } finally {
      this.#over = true
      for (const settle of this.#submitting) settle(false)
      this.#watch.stop()
      this.#dailySweep.stop()
      this.#cancelAlarm()
      this.#stopPolling.abort()
      this.#session.lost.removeEventListener('abort', onLost)
    }
  }

  // ---- What comes in ------------------------------------------------------------------------------------------------

  outcome(outcome: Outcome, quiet: boolean): void {
    this.#arrivals.addOutcome(outcome)
    this.#headStart.ended(outcome)
    this.#request(quiet ? 'now' : 'soon')
  }

  submit(message: SubmitMessage): Promise<boolean> | undefined {
    if (!this.#takesSubmits || this.#arrivals.isBehind) return undefined
    return new Promise((resolve) => {
      const settle = (isCommitted: boolean): void => {
        this.#submitting.delete(settle)
        resolve(isCommitted)
      }
      this.#submitting.add(settle)
      this.#arrivals.addSubmit(message, () => settle(true))
      this.#request('now')
    })
  }

  requeue(dispatches: readonly Dispatch[]): void {
    void this.#say({ type: 'requeue', dispatches }, dispatches.length)
  }

  roomAgain(): void {
    if (!this.#jobs.pumping) return
    if (this.#busy) this.#roomCame = true
    else this.#request('soon')
  }

  /** An input of the owner's own; resolves when it has been committed. */
  #say(input: Input, weight: number): Promise<void> {
    return new Promise((done) => {
      this.#arrivals.addOwn({ input, weight: Math.min(weight, MOST_INPUTS), bytes: 0, done })
      this.#request('now')
    })
  }

  async #pollInbox(): Promise<void> {
    const { signal } = this.#stopPolling
    try {
      while (!this.#over && !signal.aborted) {
        const messages = await this.#session.poll({ max: MOST_INPUTS, waitMs: 3 * this.#leaseMs, signal })
        if (messages.length === 0) continue
        this.#arrivals.addMessages(messages)
        this.#request('now')
        await this.#arrivals.drained()
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
    if (this.#busy || this.#ending) return
    this.#busy = true
    this.#takeTurn().then(
      (again) => {
        this.#busy = false
        if (this.#ending) this.#onEnd?.()
        else if (again || this.#roomCame || !this.#arrivals.empty) this.#request('now')
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
    this.#roomCame = false
    const batch = this.#gather()
    if (batch.length > 0) {
      const again = await this.#process(batch)
      this.#arrivals.committed()
      this.#headStart.end()
      return again || this.#windows.hasAbandoned
    }
    await this.#passIfDue()
    if (!this.#windows.hasAbandoned) return false
    // A few go with each commit: of many, the others with commits of their own.
    await this.#commit({ draft: this.#newDraft(), batch: [], poison: [] })
    return this.#windows.hasAbandoned
  }

  #gather(): Arrived[] {
    const { batch, left } = this.#arrivals.take(this.#space.capabilities)
    for (const { key, row } of this.#timers.due(this.#time.now(), left))
      batch.push({ input: { type: 'timer', key, timer: row }, weight: 1, bytes: 0 })
    this.#jobs.wake(batch)
    if (!this.#ending)
      for (const [job, count] of this.#jobs.pumpsDue())
        batch.push({ input: { type: 'pump', job, count }, weight: count, bytes: 0 })
    return batch
  }

  #newDraft(): Draft {
    const notesScheduled = this.#announcer !== undefined
    const now = this.#time.now()
    return new Draft(this.#cache, this.#seq + 1, now, this.#level, this.#home, notesScheduled, this.#treeBytes)
  }

  async #process(batch: readonly Arrived[]): Promise<boolean> {
    const folding = this.#fold(batch)
    let folded = folding instanceof Promise ? await folding : folding
    const divisible = folded.poison.find(({ arrived: { input }, error }) => isBundle(input) || insteadOf(input, error))
    if (divisible !== undefined) return this.#processInHalves(batch, divisible.error)
    const started = this.#startFirst(folded)
    if (started !== undefined) folded = await started
    try {
      return await this.#commit(folded)
    } catch (error) {
      const code = TaskError.is(error) ? error.code : ''
      if (code === 'TASKS_ROW_EXISTS') {
        await this.#cache.load(folded.draft.assumed)
        return this.#process(folded.batch)
      }
      if (code !== 'TASKS_TOO_LARGE') throw error
      return this.#processInHalves(folded.batch, error)
    }
  }

  #fold(batch: readonly Arrived[]): Folded | Promise<Folded> {
    return fold(this.#folding, batch)
  }

  /** Lets first tasks begin; what has ended of them soon is folded too. Undefined if there are none. */
  #startFirst(folded: Folded): Promise<Folded> | undefined {
    const lane = this.#ending ? undefined : this.#lane
    const started = lane && this.#headStart.begin(folded.first, lane, this.partition)
    return started?.then(() => this.#foldEnded(folded))
  }

  #foldEnded(folded: Folded): Folded | Promise<Folded> {
    const outcomes = this.#arrivals.takeOutcomes(this.#headStart.isOf)
    if (outcomes.length === 0) return folded
    const input: Input = { type: 'outcomes', outcomes }
    try {
      step(folded.draft, input)
      return { ...folded, batch: [...folded.batch, { input, weight: outcomes.length, bytes: 0 }] }
    } catch {
      // Whatever it was, it will be met again by the turn that these are folded in; this draft is spoilt.
      this.#arrivals.putBack(outcomes)
      return this.#fold(folded.batch)
    }
  }

  /** What is too large for one commit, or holds something that cannot be folded. */
  async #processInHalves(batch: readonly Arrived[], error: unknown): Promise<boolean> {
    if (batch.length > 1) {
      const half = batch.length >> 1
      await this.#process(batch.slice(0, half))
      return this.#process(batch.slice(half))
    }
    const [arrived] = batch
    const { input } = arrived!
    const halves = halvesOf(input)
    if (halves !== undefined) {
      const [first, second] = halves
      // Only the last part consumes the message.
      await this.#process([{ input: first, weight: arrived!.weight >> 1, bytes: 0 }])
      return this.#process([{ ...arrived!, input: second }])
    }
    const other = halfOf(input) ?? insteadOf(input, error)
    if (other !== undefined) return this.#process([{ ...arrived!, input: other }])
    return this.#commit({ draft: this.#newDraft(), batch, poison: [{ arrived: arrived!, error }] })
  }

  // ---- Commit -------------------------------------------------------------------------------------------------------

  /** Returns whether groups have more to start at once. */
  async #commit({ draft, batch, poison }: Omit<Folded, 'first'>): Promise<boolean> {
    for (const bad of poison)
      condemn(draft, bad, { partition: this.partition, arrivals: this.#arrivals, logger: this.#logger })
    for (const { input } of batch)
      if (input.type === 'running') this.#windows.report(input.items, this.#clock.monotonic())
    const position = lastPosition(batch)
    const replies = repliesOf(draft, this.#session, this.#attached)
    if (isAnswersOnly(draft) && (batch.length > 0 || !this.#windows.hasAbandoned)) {
      if (position !== undefined) this.#passed.add(batch, position, this.#clock.monotonic())
      await this.#answer([
        ...draft.sends.map(({ target, body }, index) => ({
          target,
          body,
          id: `${this.#session.claim}.${draft.seq}.a${index}`,
        })),
        ...replies,
      ])
      this.#finishTurn(draft, batch)
      await this.#passIfDue()
      return this.#mayPump(batch)
    }

    // What is alone may be as large as a commit may be: nothing else goes with it.
    const closing = this.#windows.close(draft, batch.length === 1 ? 0 : mostInputs(this.#space.capabilities))
    const { maxMessageBytes } = this.#space.capabilities
    const announced = this.#announcer?.inCommit(draft) ?? []
    const events = eventSends(draft, this.#session, this.#eventSource, maxMessageBytes, announced)
    const lane = this.#ending ? undefined : this.#lane
    const plan = planCommit(draft, this.#session, lane, this.#headStart, [...replies, ...events], closing)
    const { sends, local, window, open } = plan
    let rows: ReadonlyMap<RowKey, Bytes | null>
    try {
      rows = encodeRows(draft, this.#cache)
      await this.#session.commit({
        seq: draft.seq,
        time: draft.now,
        ...(position === undefined ? {} : { through: position }),
        rows,
        ...(draft.assumed.size === 0 ? {} : { absent: [...draft.assumed] }),
        sends,
      })
    } catch (error) {
      if (local.length > 0) this.#lane!.release(local.length)
      if (TaskError.is(error) && error.code === 'TASKS_UNAVAILABLE') this.#announcer?.notCommitted(draft, error)
      throw error
    }
    this.#announcer?.committed(draft)
    this.#seq = draft.seq
    this.#time.committed(draft.now)
    if (position !== undefined) this.#passed.clear()
    this.#cache.apply(draft, rows)
    this.#windows.apply(draft, closing)
    if (window !== undefined) {
      const now = this.#clock.monotonic()
      this.#windows.add(window.key, window.row, open, now, now + 3 * this.#leaseMs)
    }
    for (const [key, row] of draft.changed)
      if (row !== null && key.startsWith(TIMERS)) this.#timers.added(key, row as TimerRow)
    this.#jobs.apply(draft.changed)
    if (local.length > 0) this.#lane!.submit(local)
    if (draft.cancelled.length > 0) this.#tellCancelled(draft.cancelled)
    this.#finishTurn(draft, batch)
    return this.#mayPump(batch)
  }

  /** Each pump has started something, or is out of the way: there may be more to start at once. */
  #mayPump(batch: readonly Arrived[]): boolean {
    const pumped = batch.some(({ input }) => input.type === 'pump')
    return (this.#jobs.takeNewPump() || pumped) && this.#jobs.pumpsDue().length > 0
  }

  /** Workers that hear it need not go on; whether they do changes nothing for the pipeline. */
  #tellCancelled(runs: Draft['cancelled']): void {
    const { partition } = this
    this.#space
      .signal(encodeSignal({ type: 'cancelled', runs }))
      .catch((error: unknown) => this.#logger.debug({ partition, error }, 'workers could not be told of a cancel'))
  }

  #finishTurn(draft: Draft, batch: readonly Arrived[]): void {
    this.#jobs.park(batch, draft.changed)
    this.#attached.apply(draft)
    for (const look of draft.looks) void this.#look(look)
    for (const { done, message } of batch) {
      done?.()
      if (message !== undefined) this.#markers.folded(message.id)
    }
  }

  /** Best effort: who asked asks again. */
  async #answer(replies: readonly Send[]): Promise<void> {
    if (replies.length === 0) return
    for (const outcome of await this.#space.send(replies)) {
      if (!outcome.ok)
        this.#logger.debug({ partition: this.partition, error: outcome.error }, 'a reply could not be sent')
    }
  }

  /** Beside the turns: it may take a scan. */
  async #look({ replyTo, correlation, question }: Draft['looks'][number]): Promise<void> {
    try {
      const { claim, epoch } = this.#session
      const seq = this.#seq
      const answer = await answerTo(this.#source, question, this.#mostAnswered).catch((error: unknown) => {
        const refusal = refusalOf(error)
        if (refusal === undefined) throw error
        return refusal
      })
      const body = encodeReply({ type: 'answer', correlation, partition: this.partition, epoch, seq, answer })
      await this.#answer([{ target: { to: 'reply', address: replyTo }, id: `${claim}.l${correlation}`, body }])
    } catch (error) {
      this.#logger.debug({ partition: this.partition, error }, 'a question could not be answered')
    }
  }

  async #passIfDue(): Promise<void> {
    const through = this.#passed.due(this.#clock.monotonic())
    if (through === undefined) return
    const time = this.#time.now()
    await this.#session.commit({ seq: this.#seq + 1, time, through, rows: new Map(), sends: [] })
    this.#seq++
    this.#time.committed(time)
    this.#passed.clear()
  }

  // ---- Beginning and end --------------------------------------------------------------------------------------------

  readonly #scan: ScanRows = (prefix, after, limit) => this.#session.scan(prefix, after, limit)

  async #restore(): Promise<void> {
    await this.#timers.restore(this.#scan)
    for await (const [key, row] of this.#rows<JobRow>(JOBS)) this.#jobs.start(key, row)
    const windows: (readonly [RowKey, WindowRow])[] = []
    for await (const keyed of this.#rows<WindowRow>(WINDOWS)) windows.push(keyed)
    await this.#watch.adopt(windows)
  }

  async *#rows<T>(prefix: string): AsyncGenerator<readonly [RowKey, T]> {
    let after: RowKey | undefined
    for (;;) {
      const page = await this.#scan(prefix, after, RESTORE_PAGE)
      for (const [key, bytes] of page) yield [key, decodeRow(key, bytes) as T]
      if (page.length < RESTORE_PAGE) return
      after = page.at(-1)![0]
    }
  }

  #end(): void {
    if (this.#ending) return
    this.#ending = true
    this.#stopTaking()
    if (!this.#busy) this.#onEnd?.()
  }

  #fail(error: unknown): void {
    if (this.#over) return
    const expected = TaskError.is(error) && (error.code === 'TASKS_FENCED' || error.code === 'TASKS_CLOSED')
    this.#logger[expected ? 'debug' : 'warn']({ partition: this.partition, error }, 'a session has ended')
    this.#over = true
    this.#ending = true
    this.#stopTaking()
    this.#onEnd?.()
  }

  #stopTaking(): void {
    this.#takesSubmits = false
    this.#stopPolling.abort()
    this.#arrivals.stop()
  }

  /** A planned end: what was not started goes to the queue, and what runs is left to its process, which reports it. */
  async #handOver(): Promise<void> {
    const unstarted = this.#lane?.detach(this) ?? []
    if (this.#over) return
    try {
      if (unstarted.length > 0)
        this.#arrivals.addOwn({ input: { type: 'requeue', dispatches: unstarted }, weight: 1, bytes: 0 })
      // What has arrived is folded still: outcomes of this process are known to nobody else.
      for (let batch = this.#gather(); batch.length > 0; batch = this.#gather()) {
        await this.#process(batch)
        this.#arrivals.committed()
      }
      await this.#shareWindows()
    } catch (error) {
      // Lost in the meantime: whoever has the partition sends again what it must.
      this.#logger.debug({ partition: this.partition, error }, 'a partition could not be handed over')
    }
  }

  async #shareWindows(): Promise<void> {
    const { capabilities } = this.#space
    let draft = this.#newDraft()
    let bytes = 0
    for (const [key, row] of this.#windows.shared()) {
      draft.put(key, row)
      bytes += encodeRow(key, row).length
      if (draft.changed.size < mostInputs(capabilities) && bytes < capabilities.maxCommitBytes >> 2) continue
      await this.#commit({ draft, batch: [], poison: [] })
      draft = this.#newDraft()
      bytes = 0
    }
    if (draft.changed.size > 0) await this.#commit({ draft, batch: [], poison: [] })
  }

  #setAlarm(): void {
    const timer = this.#timers.next
    const at = Math.min(
      timer === undefined ? Infinity : this.#clock.monotonic() + this.#time.until(timer),
      this.#passed.dueAt,
    )
    if (at === this.#alarmAt) return
    this.#cancelAlarm()
    this.#alarmAt = at
    if (at === Infinity) {
      this.#cancelAlarm = () => undefined
      return
    }
    const ring = (): void => {
      this.#alarmAt = Infinity
      this.#request('now')
    }
    this.#cancelAlarm = this.#clock.after(Math.max(0, at - this.#clock.monotonic()), ring, { unref: true })
  }
}

/** Nothing is to be stored: replies need no commit. */
function isAnswersOnly(draft: Draft): boolean {
  return (
    draft.assumed.size === 0 &&
    draft.changed.size === 0 &&
    draft.results.size === 0 &&
    draft.dispatches.length === 0 &&
    draft.sends.every(({ target }) => target.to === 'reply')
  )
}
