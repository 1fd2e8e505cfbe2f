// Every commit of the cluster, in the order in which the store has taken them, and what can be said of them at once: who may commit, what follows what,
// that a run that has ended stays as it is.
import type { Commit, PartitionSession, RowKey } from '@tasks/core'
import { TaskError } from '@tasks/core'
import type { History } from './history'
import type { Process } from './process'
import { endedReplyOf, pipelineStateOf, saySend } from './saying'

const ENDS: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELLED'])

interface PartitionJournal {
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
  /** Of the memory transport's hook, for the commit that is being made. */
  #unanswered = false

  constructor(history: History) {
    this.#history = history
  }

  unanswered(): void {
    this.#unanswered = true
  }

  /** Whether every run that there is has ended. */
  get allEnded(): boolean {
    return this.#live.size === 0
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
      if (!unanswered) refused = TaskError.is(error) ? error.code : String(error)
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
      this.#partitions.set(partition, (journal = { epoch: 0, seq: 0, through: 0, time: 0, rows: new Set() }))
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
    journal.epoch = epoch
    journal.seq = seq
    journal.time = commit.time
    if (through !== undefined) journal.through = Number(through)
    for (const [key, bytes] of rows) {
      if (bytes === null) journal.rows.delete(key)
      else journal.rows.add(key)
      this.#watchEnd(key, bytes)
    }
    for (const send of sends) {
      const reply = endedReplyOf(send)
      if (reply === undefined) continue
      const said = `${reply.status} ${reply.bytes}`
      const before = this.#replies.get(reply.run) ?? said
      this.#expect(before === said, `I2: run ${reply.run} was said to be ${before}, and then ${said}`)
      this.#replies.set(reply.run, said)
    }
  }

  #watchEnd(key: RowKey, bytes: Uint8Array | null): void {
    const state = pipelineStateOf(key, bytes)
    if (state === undefined) return
    const before = this.#ends.get(state.run)
    this.#expect(
      before === undefined || before === state.status,
      `I2: ${state.id}, run ${state.run}, was ${before} and is ${state.status}`,
    )
    if (ENDS.has(state.status)) {
      this.#ends.set(state.run, state.status)
      this.#live.delete(key)
    } else this.#live.add(key)
  }

  #expect(holds: boolean, text: string): void {
    if (!holds) this.broken.push(text)
  }
}
