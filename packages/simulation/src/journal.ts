// Every commit of the cluster, in the order in which the store has taken them, and what can be said of them at once: who may commit, what follows what,
// that a run that has ended stays as it is.
import type { Commit, InboxMessage, PartitionSession, RowKey, Send, SendOutcome } from '@tasks/core'
import { TaskError } from '@tasks/core'
import { firstRun, pipelineKey } from '@tasks/core/src/engine/row-keys'
import { decodeInbox } from '@tasks/core/src/wire/inbox-message'
import { Boxes } from './boxes'
import { EventLog } from './event-log'
import type { History } from './history'
import { runNumber } from './pipelines'
import { START, type Process } from './process'
import type { Scenario } from './scenario'
import { SharedEvents } from './shared-events'
import { Sources } from './sources'
import {
  dispatchesOf,
  endedReplyOf,
  otherRunOf,
  pipelineStateOf,
  runsAskedFor,
  saySend,
  type PipelineState,
} from './saying'

/** What clocks may be ahead without anybody's noticing it: they are set, by a little, as often as a scenario says. */
const MOST_AHEAD_MS = 60_000
/** How long a lone task that had to be kept is remembered. */
const TOMBSTONE_MS = 3_600_000

const ENDS: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELLED'])

/** Where a pipeline may stand after a commit: one may take several steps. A retry is a run of its own. */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  RUNNING: ['PAUSED', 'CANCELLING', 'COMPLETED', 'FAILED', 'CANCELLED'],
  PAUSED: ['RUNNING', 'CANCELLING', 'COMPLETED', 'FAILED', 'CANCELLED'],
  CANCELLING: ['CANCELLED'],
}
/** Only somebody who asks for it makes a pipeline go there; a pause may be part of the pipeline. */
const COMMANDED: ReadonlySet<string> = new Set(['PAUSED', 'RUNNING', 'CANCELLING', 'CANCELLED'])

interface PartitionJournal {
  claim: string
  epoch: number
  seq: number
  through: number
  time: number
  readonly rows: Set<RowKey>
}

export class Journal {
  /** Invariants that were broken, in words. */
  readonly broken: string[] = []
  /** `<claim>.<seq>`: what sends are named after. */
  readonly applied = new Set<string>()
  readonly #partitions = new Map<number, PartitionJournal>()
  readonly #history: History
  /** What each run has ended with. */
  readonly #ends = new Map<string, string>()
  readonly #replies = new Map<string, string>()
  /** Keys of pipelines that go on. */
  readonly #live = new Set<RowKey>()
  /** As the latest commit has left them, and every run and command that there was. */
  readonly #states = new Map<RowKey, PipelineState>()
  readonly #runs = new Map<string, Set<string>>()
  readonly #taken = new Map<string, Set<string>>()
  /** How often an id has come, and was forgotten before; and `<id> <life> <run>` of what has begun. */
  readonly #lives = new Map<string, number>()
  readonly #begun = new Set<string>()
  /** Runs that somebody has asked for: to the question, what is being taken away is there still. */
  readonly #askedFor = new Set<string>()
  readonly #pausing: ReadonlySet<string>
  readonly log: EventLog
  /** Of the members of a named subscription. */
  readonly shared = new SharedEvents((text) => this.broken.push(text))
  readonly sources: Sources
  /** What commits have sent, and nobody has received. */
  readonly #undelivered = new Set<string>()
  readonly #boxes = new Boxes((text) => this.broken.push(text))
  /** Of the memory transport's hook, for the commit that is being made. */
  #unanswered = false

  /** @param pausing ids of pipelines that pause themselves */
  constructor(
    history: History,
    pausing: ReadonlySet<string>,
    { level = 'pipelines', calm, subscription }: Pick<Scenario, 'level' | 'calm' | 'subscription'>,
  ) {
    this.#history = history
    this.#pausing = pausing
    const broken = (text: string): unknown => this.broken.push(text)
    this.sources = new Sources(history, calm, broken)
    this.log = new EventLog(level, broken, subscription === undefined ? undefined : this.shared)
  }

  /** What a commit has sent has come to whom it is for. */
  delivered(id: string): void {
    this.#undelivered.delete(id)
  }

  /** How much of what was sent by commits has come to nobody. */
  get undelivered(): number {
    return this.#undelivered.size
  }

  /** An owner has read this from its inbox. */
  polled({ id, body }: InboxMessage): void {
    this.delivered(id)
    const message = decodeInbox(body)
    this.#boxes.polled(message)
    for (const run of runsAskedFor(message)) this.#askedFor.add(run)
  }

  /** A process has sent this, beside commits. */
  sent(batch: readonly Send[], outcomes: readonly SendOutcome[]): void {
    this.log.sent(batch, outcomes)
    this.#watchReplies(batch.filter(({ id }) => this.#isOfLatest(id)))
  }

  /** Whether an owner that knows of all commits has named it. */
  #isOfLatest(sendId: string): boolean {
    const [claim, seq] = sendId.split('.')
    return [...this.#partitions.values()].some((one) => one.claim === claim && one.seq + 1 === Number(seq))
  }

  unanswered(): void {
    this.#unanswered = true
  }

  /** Whether every run that there is has ended. */
  get allEnded(): boolean {
    return this.#live.size === 0
  }

  wasCancelled(run: string): boolean {
    return this.#ends.get(run) === 'CANCELLED'
  }

  hasEndedByItself(run: string): boolean {
    return this.#ends.has(run) && !this.wasCancelled(run)
  }

  /** Whether any run of this pipeline was. */
  cancelled(id: string): boolean {
    return this.#runsOf(id).some((run) => this.wasCancelled(run))
  }

  /** How often any run of this pipeline was retried. */
  retries(id: string): number {
    return Math.max(0, ...this.#runsOf(id).map((run) => runNumber(run) - 1))
  }

  #runsOf(id: string): readonly string[] {
    return [...(this.#runs.get(id) ?? [])]
  }

  /** How many commands have become part of this pipeline's state. */
  taken(id: string): number {
    return this.#taken.get(id)?.size ?? 0
  }

  /** Rows of all partitions, as far as commits have left them. */
  rows(): RowKey[] {
    return [...this.#partitions.values()].flatMap(({ rows }) => [...rows])
  }

  async commit(process: Process, session: PartitionSession, commit: Commit): Promise<void> {
    this.#unanswered = false
    const made = session.commit(commit)
    // The store does it, or not, at once; only the answer takes time.
    const unanswered = this.#unanswered
    let refused: string | undefined
    try {
      await made
    } catch (error) {
      const code = TaskError.is(error) ? error.code : String(error)
      if (!unanswered || code === 'TASKS_ROW_EXISTS') refused = code
      throw error
    } finally {
      this.#record(process, session, commit, refused)
    }
  }

  #record(process: Process, session: PartitionSession, commit: Commit, refused: string | undefined): void {
    const { partition, claim, epoch } = session
    const { seq, through, rows, sends } = commit
    const says = sends.map((send) => `${send.id} ${saySend(send)}`)
    for (const [key, bytes] of rows) {
      const state = pipelineStateOf(key, bytes)
      says.push(
        state === undefined ? `${bytes === null ? '−' : '+'} ${key}` : `${key} is ${state.status}, run ${state.run}`,
      )
    }
    const ids = sends.map(({ id }) => id)
    this.#history.add(process.name, {
      what: 'commit',
      commit: { partition, claim, epoch, seq, through, sends: ids, says, refused },
    })
    if (refused !== undefined) return
    this.applied.add(`${claim}.${seq}`)
    let journal = this.#partitions.get(partition)
    if (journal === undefined)
      this.#partitions.set(partition, (journal = { claim, epoch: 0, seq: 0, through: 0, time: 0, rows: new Set() }))
    this.#expect(
      epoch >= journal.epoch,
      `I5: a commit of epoch ${epoch} after one of ${journal.epoch}, in ${partition}`,
    )
    this.#expect(seq === journal.seq + 1, `I6: commit ${seq} after commit ${journal.seq}, in ${partition}`)
    this.#expect(
      through === undefined || Number(through) >= journal.through,
      `I7: partition ${partition} went back from ${journal.through} to ${through}`,
    )
    this.#expect(commit.time >= journal.time, `I7: the time of partition ${partition} went back`)
    const aheadMs = commit.time - START - this.#history.now
    this.#expect(aheadMs <= MOST_AHEAD_MS, `I7: partition ${partition} is ${aheadMs} ms ahead of its time`)
    journal.claim = claim
    journal.epoch = epoch
    journal.seq = seq
    journal.time = commit.time
    if (through !== undefined) journal.through = Number(through)
    this.#watchReplies(sends, rows)
    this.#watchDispatches(commit)
    this.#boxes.commit(rows, commit.time)
    this.sources.commit(rows, sends)
    for (const { target, id } of sends) if (target.to === 'task' || target.to === 'inbox') this.#undelivered.add(id)
    const states: PipelineState[] = []
    for (const [key, bytes] of rows) {
      if (bytes === null) journal.rows.delete(key)
      else journal.rows.add(key)
      const state = pipelineStateOf(key, bytes)
      if (state !== undefined) states.push(state)
      this.#watchState(process, key, state, commit.time)
    }
    this.log.commit(sends, states)
    for (const send of sends) {
      const reply = endedReplyOf(send)
      if (reply === undefined) continue
      const said = `${reply.status} ${reply.bytes}`
      const before = this.#replies.get(reply.run) ?? said
      this.#expect(before === said, `I2: run ${reply.run} was said to be ${before}, and then ${said}`)
      this.#replies.set(reply.run, said)
    }
  }

  #watchState(process: Process, key: RowKey, state: PipelineState | undefined, at: number): void {
    const before = this.#states.get(key)
    if (state === undefined) {
      if (before !== undefined) this.#forget(key, before)
      return
    }
    this.#states.set(key, state)
    const { id, run, status } = state
    const commands = this.#newCommands(state, before)
    this.#watchLeaving(state, before, commands, at)
    if (commands > 0) this.#history.add(process.name, { what: 'commanded', id })
    if (before?.run !== run) {
      const runs = this.#runs.get(id) ?? new Set()
      const name = `${id} ${this.#lifeOf(id)} ${run}`
      this.#expect(!this.#begun.has(name), `I2: ${id}, run ${run}, has begun again`)
      this.#begun.add(name)
      this.#runs.set(id, runs.add(run))
    } else if (before.status !== status) {
      this.#expect(
        NEXT[before.status]?.includes(status) === true,
        `I2: ${id}, run ${run}, was ${before.status} and is ${status}`,
      )
      const isAsked = commands > 0 || (status === 'PAUSED' && this.#pausing.has(id)) || before.status === 'CANCELLING'
      this.#expect(!COMMANDED.has(status) || isAsked, `C1: ${id} was ${before.status} and is ${status}, unasked`)
    }
    if (ENDS.has(status)) {
      this.#ends.set(run, status)
      this.#live.delete(key)
    } else this.#live.add(key)
  }

  /** A run that is over stays for as long as it is to be kept, unless somebody deletes it. */
  #watchLeaving(state: PipelineState, before: PipelineState | undefined, commands: number, at: number): void {
    const { id, leaving, lone, finishedAt, retentionMs } = state
    if (!leaving || before?.leaving === true || commands > 0) return
    const due = finishedAt + (lone ? TOMBSTONE_MS : retentionMs)
    this.#expect(at >= due, `R1: ${id} is taken away ${due - at} ms before its time`)
  }

  /** What is being taken away has left its id to whoever submits it: the first of them, if there are several in one commit. */
  #watchReplies(sends: readonly Send[], rows?: Commit['rows']): void {
    for (const send of sends) {
      const other = otherRunOf(send)
      if (other === undefined || this.#askedFor.has(other.run)) continue
      const { id, run, actual } = other
      const key = pipelineKey(id)
      const before = this.#states.get(key)
      const bytes = rows?.get(key)
      const after = bytes === undefined ? before : pipelineStateOf(key, bytes)
      const isOther = actual.startsWith('TASKS_ID_') || before?.run === actual
      if (isOther && firstRun(actual) !== run && before?.leaving === true && after?.leaving === true)
        this.broken.push(`R1: ${id} is being taken away, and whoever submits it, as ${run}, is told of ${actual}`)
    }
  }

  /** Whoever submits it again, or has something of it delivered late, begins anew. */
  #forget(key: RowKey, { id, leaving }: PipelineState): void {
    this.#expect(leaving, `R1: ${id} is gone, and was not to be taken away`)
    this.#states.delete(key)
    this.#live.delete(key)
    for (const run of this.#runsOf(id)) this.#replies.delete(run)
    this.#lives.set(id, this.#lifeOf(id) + 1)
  }

  #lifeOf(id: string): number {
    return this.#lives.get(id) ?? 1
  }

  /** How many commands this commit has taken. Each may be taken once. */
  #newCommands({ id, commands }: PipelineState, before: PipelineState | undefined): number {
    const fresh = commands.filter((command) => before?.commands.includes(command) !== true)
    const taken = this.#taken.get(id) ?? new Set()
    this.#taken.set(id, taken)
    const named = fresh.map((command) => `${this.#lifeOf(id)} ${command}`)
    const isTwice = new Set(commands).size !== commands.length || named.some((command) => taken.has(command))
    this.#expect(!isTwice, `C2: ${id} has taken a command twice`)
    for (const command of named) taken.add(command)
    return fresh.length
  }

  /** Of a pipeline that is paused nothing starts, and of one that is being cancelled nothing but what it does at its end. */
  #watchDispatches({ rows }: Commit): void {
    for (const { id, key, isFinal } of dispatchesOf(rows)) {
      const before = this.#states.get(key)
      const bytes = rows.get(key)
      const after = bytes === undefined ? before : pipelineStateOf(key, bytes)
      if (before === undefined || after === undefined || before.run !== after.run) continue
      const isStill = before.commands.length === after.commands.length && before.status === after.status
      this.#expect(!isStill || before.status !== 'PAUSED', `C3: something of ${id} starts while it is paused`)
      this.#expect(
        isFinal || before.status !== 'CANCELLING',
        `C4: something of ${id} starts while it is being cancelled`,
      )
    }
  }

  #expect(holds: boolean, text: string): void {
    if (!holds) this.broken.push(text)
  }
}
