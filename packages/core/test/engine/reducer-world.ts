// A world for the reducer alone: rows as bytes in a map, and nothing else. Each fold reads rows from their bytes and writes them back, so
// that encodings are part of every test; what the owner does around the reducer is done here in the plainest way.
import { encodeDefinition } from '../../src/definition-encoder'
import { Draft, type Dispatch, type Emitted, type Ended, type Home, type KnownRows } from '../../src/engine/draft'
import { levelOf } from '../../src/engine/emit'
import { isSearched } from '../../src/engine/event-box'
import { joinResults, type ScanRows } from '../../src/engine/fan-in'
import type { Input } from '../../src/engine/input'
import { step } from '../../src/engine/reducer'
import { countFailures } from '../../src/engine/retried'
import { decodeRow, encodeRow } from '../../src/engine/row-codec'
import { BoxKeys, cleanedBy, JOBS, pipelineKey, RunKeys, TIMERS } from '../../src/engine/row-keys'
import type { GroupRow, JobRow, KeptEvent, MarkRow, PipelineRow, Row, TimerRow } from '../../src/engine/rows'
import type { EventLevel } from '../../src/events/pipeline-event'
import { jsonCodec } from '../../src/json-codec'
import { isPipeline } from '../../src/pipeline'
import { encodeState } from '../../src/state'
import type { Bytes, RowKey } from '../../src/transport'
import { failureValue, Kind, NONE, type Value } from '../../src/value'
import { encodeDefinitionValue, type PackedDefinition } from '../../src/wire/packed-definition'
import type { Command, SubmitMessage, SubmitOptions } from '../../src/wire/inbox-message'

export const codec = jsonCodec()

interface WakeLoop {
  readonly job: JobRow & { readonly kind: 'wake' }
  after: RowKey
}

export class ReducerWorld {
  readonly rows = new Map<RowKey, Bytes>()
  seq = 0
  now = 1_000_000
  readonly dispatches: Dispatch[] = []
  readonly ended: Ended[] = []
  readonly sends: Draft['sends'] = []
  readonly events: Emitted[] = []
  readonly #level: number
  #seen = 0
  /** Loops that look for those who wait for an event: each goes on from where it was, though another has begun for the same one. */
  readonly #wakes: WakeLoop[] = []

  readonly #home: Home | undefined

  /**
   * @param level what is said of pipelines
   * @param home default: there is one partition
   */
  constructor(level: EventLevel = 'tasks', home?: Home) {
    this.#level = levelOf(level)
    this.#home = home
  }

  /** Folds a batch and commits it. */
  fold(inputs: readonly Input[]): Draft {
    const known: KnownRows = {
      get: (key) => {
        const bytes = this.rows.get(key)
        return bytes === undefined ? null : decodeRow(key, bytes)
      },
    }
    const draft = new Draft(known, this.seq + 1, this.now, this.#level, this.#home)
    for (const input of inputs) step(draft, input)
    this.seq++
    for (const [key, row] of draft.changed) {
      if (row === null) this.rows.delete(key)
      else this.rows.set(key, encodeRow(key, row))
      if (row !== null && key.startsWith(JOBS) && (row as JobRow).kind === 'wake')
        this.#wakes.push({ job: row as WakeLoop['job'], after: '' })
    }
    for (const [key, writer] of draft.results) this.rows.set(key, writer.bytes())
    this.dispatches.push(...draft.dispatches)
    this.ended.push(...draft.ended)
    this.sends.push(...draft.sends)
    this.events.push(...draft.events)
    return draft
  }

  keys(prefix = ''): RowKey[] {
    return [...this.rows.keys()].filter((key) => key.startsWith(prefix)).sort()
  }

  row<T extends Row>(key: RowKey): T {
    return decodeRow(key, this.rows.get(key)!) as T
  }

  readonly scan: ScanRows = async (prefix, after, limit) =>
    this.keys(prefix)
      .filter((key) => after === undefined || key > after)
      .slice(0, limit)
      .map((key) => [key, this.rows.get(key)!] as const)

  /** Does one step of long work, if there is any that can be done now. `count`: chains that the pump may start. */
  async work(count: number, pick = 0): Promise<boolean> {
    const jobs = this.keys(JOBS).map((key) => this.row<JobRow>(key))
    const steps = [
      ...jobs.filter(({ kind }) => kind !== 'wake').map((job) => () => this.#stepOf(job, count)),
      ...this.#wakes.map((wake) => () => this.#wake(wake)),
    ]
    for (let i = 0; i < steps.length; i++) if (await steps[(pick + i) % steps.length]!()) return true
    return false
  }

  /** A page: those that are short find what is between them. */
  #wake(wake: WakeLoop): boolean {
    const { job, after } = wake
    const keys = new BoxKeys(job.id)
    const event = this.rows.has(keys.event(Number(job.path))) && this.row<KeptEvent>(keys.event(Number(job.path)))
    const waiters = this.keys(keys.waiters())
      .filter((key) => key > after)
      .slice(0, 2)
    const done = waiters.length < 2
    const isOver = after !== '' && event !== false && !isSearched(event, job)
    if (done || isOver) this.#wakes.splice(this.#wakes.indexOf(wake), 1)
    else wake.after = waiters.at(-1)!
    if (!isOver) this.fold([{ type: 'woken', job, waiters, done }])
    return true
  }

  async #stepOf(job: JobRow, count: number): Promise<boolean> {
    if (job.kind === 'pump') {
      // A group that has as many chains in flight as it may have starts nothing.
      const { changed, dispatches } = this.fold([{ type: 'pump', job, count }])
      return changed.size > 0 || dispatches.length > 0
    }
    if (job.kind === 'fan-in') {
      const group = this.row<GroupRow>(new RunKeys(job.id, job.gen).group(job.path))
      const parts: Bytes[] = []
      const sink = {
        write: async (bytes: Bytes): Promise<void> => void parts.push(bytes),
        end: async (kind: Kind): Promise<Value> => ({ kind, bytes: Buffer.concat(parts) }),
        discard: async (): Promise<void> => undefined,
      }
      this.fold([
        {
          type: 'joined',
          job,
          joined: await joinResults(this.scan, job, group, sink, { keys: 3, causeBytes: 1 << 20, stateBytes: 1 << 16 }),
        },
      ])
    } else if (job.kind === 'resume') {
      const keys = this.keys(new RunKeys(job.id, job.gen).heldPrefix()).slice(0, 3)
      this.fold([{ type: 'released', job, paths: this.#marked(keys), done: keys.length < 3 }])
    } else if (job.kind === 'finals') {
      const bases = this.#marked(this.keys(new RunKeys(job.id, job.gen).finalsPrefix()))
      this.fold([{ type: 'finals', job, bases, done: true }])
    } else if (job.kind === 'reopen') {
      const rows = this.keys(new RunKeys(job.id, job.gen).resultsPrefix(job.path))
      const key = rows.find((key) => countFailures(job, [key, this.rows.get(key)!]) > 0)
      const page = key === undefined ? undefined : { key, bytes: this.rows.get(key)!, most: 2 }
      this.fold([{ type: 'reopened', job, page }])
    } else if (job.kind === 'seek') {
      const box = new BoxKeys(job.id)
      this.fold([{ type: 'sought', job, events: this.keys(box.events()).map((key) => box.numberOf(key)), done: true }])
    } else if (job.kind === 'clean') {
      const keys = this.keys(cleanedBy(job)).slice(0, 7)
      this.fold([{ type: 'cleaned', job, keys, done: keys.length < 7 }])
    }
    return true
  }

  /** Does all long work that there is. */
  async settle(): Promise<void> {
    while (await this.work(100));
  }

  /** The task at this entry, as it was dispatched last, returns; `changes` is what it has set of the state. */
  returns(path: string, result?: unknown, changes: Readonly<Record<string, unknown>> = {}): Draft {
    const { id, run, attempt } = this.dispatched(path)
    const state = encodeState(new Map(Object.entries(changes).map(([key, value]) => [key, codec.encode(value)])))
    const value: Value = isPipeline(result)
      ? { kind: Kind.pipeline, bytes: encodeDefinitionValue(packed(result)) }
      : result === undefined
        ? NONE
        : { kind: Kind.one, bytes: codec.encode(result) }
    return this.fold([{ type: 'outcomes', outcomes: [{ id, run, path, attempt, value, state }] }])
  }

  /** It fails for good. */
  fails(path: string, message = 'failed'): Draft {
    return this.#fails(this.dispatched(path), message, false)
  }

  /** The same of this pipeline's, and it may be tried again. */
  failsOnce(path: string, of: string): Draft {
    const dispatch = this.dispatches.filter((one) => one.id === of && one.path === path).at(-1)!
    return this.#fails(dispatch, 'failed', true)
  }

  #fails({ id, run, path, attempt }: Dispatch, message: string, retryable: boolean): Draft {
    const value = failureValue({ code: 'TASKS_TASK_FAILED', name: 'Error', message })
    const outcome = { id, run, path, attempt, value, verdict: { retryable } }
    return this.fold([{ type: 'outcomes', outcomes: [outcome] }])
  }

  dispatched(path: string): Dispatch {
    const dispatch = this.dispatches.filter((one) => one.path === path).at(-1)
    if (dispatch === undefined) throw new Error(`${path} was never dispatched`)
    return dispatch
  }

  /** Takes the paths that were dispatched since this was last called. */
  takeDispatched(): string[] {
    const paths = this.dispatches.slice(this.#seen).map(({ path }) => path)
    this.#seen = this.dispatches.length
    return paths
  }

  give(command: Command, id = 'p', commandId = `command ${this.seq}`): Draft {
    return this.fold([{ type: 'command', command, id, commandId, replyTo: 'me', correlation: 'c' }])
  }

  pipelineRow(id = 'p'): PipelineRow {
    return this.row<PipelineRow>(pipelineKey(id))
  }

  #marked(keys: readonly RowKey[]): string[] {
    return keys.map((key) => this.row<MarkRow>(key).path)
  }

  /** Fires the first timer of this kind; time moves on to it. */
  fireTimer(kind: TimerRow['kind']): boolean {
    for (const key of this.keys(TIMERS)) {
      const timer = this.row<TimerRow>(key)
      if (timer.kind !== kind) continue
      this.now = Math.max(this.now, Number.parseInt(key.slice(2, 11), 36))
      this.fold([{ type: 'timer', key, timer }])
      return true
    }
    return false
  }
}

export function submitOf(id: string, run: string, pipeline: object, options: SubmitOptions = {}): SubmitMessage {
  return { type: 'submit', id, run, options, definition: packed(pipeline) }
}

function packed(pipeline: object): PackedDefinition {
  const { pages, hash, taskCount } = encodeDefinition(pipeline, {
    codec,
    inlineBytes: 1 << 20,
    pageBytes: 1 << 20,
    blobName: () => 'blob',
  })
  return { hash, tasks: taskCount, pages, pageCount: pages.length }
}
