// Long work of a partition, in steps: starting the chains of large groups, joining results, deleting what is over. A job is a row until its last
// step, so that whoever owns the partition does it.
import type { Clock } from '../clock'
import type { LargeValues } from '../large-values'
import type { Logger } from '../logger'
import type { Bytes, RowKey, Space } from '../transport'
import { AtMost } from './at-most'
import type { Draft } from './draft'
import { isSearched } from './event-box'
import { joinResults, type ScanRows } from './fan-in'
import type { LocalLane } from './local-lane'
import { MOST_INPUTS, mostInputs, type Arrived } from './arrivals'
import type { Input } from './input'
import { needs } from './reducer'
import type { RowCache } from './row-cache'
import { NONE } from '../value'
import type { Status } from '../wire/reply'
import { countFailures } from './retried'
import { decodeRow } from './row-codec'
import { blobPrefix, BoxKeys, cleanedBy, JOBS, RunKeys } from './row-keys'
import type { GroupRow, JobRow, KeptEvent, MarkRow, PipelineRow } from './rows'

export interface JobsOptions {
  readonly space: Space
  readonly values: LargeValues
  readonly cache: RowCache
  readonly scan: ScanRows
  readonly lane: LocalLane | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly partition: number
  /** Folds an input of the owner's own; resolves when it has been committed. */
  readonly say: (input: Input, weight: number) => Promise<void>
  readonly isOver: () => boolean
}

type PumpJob = JobRow & { readonly kind: 'pump' }
type ReopenJob = JobRow & { readonly kind: 'reopen' }
type WakeJob = JobRow & { readonly kind: 'wake' }
type CleanJob = JobRow & { readonly kind: 'clean' }

/** Groups that are pumped in one turn. */
const PUMPS_A_TURN = 32
const CLEAN_PAGE = 500
/** Jobs of a kind that run at a time: when a million runs expire together, the rest waits. */
const MOST_FAN_INS = 16
const MOST_CLEANS = 32
const MOST_COMMANDS = 32
/** Entries that one step of resuming, cancelling or retrying starts. */
const STEP_PAGE = 250

export class Jobs {
  readonly #options: JobsOptions
  /** Groups with chains to be started. */
  readonly #pumps = new Map<RowKey, PumpJob>()
  /** The same of pipelines that have to change first, by the pipeline's row: they are paused, or have as many chains in flight as they may. */
  readonly #parked = new Map<RowKey, Map<RowKey, PumpJob>>()
  #newPump = false
  /** Who waits for something to be committed for a pipeline, by its row. */
  readonly #onChange = new Map<RowKey, (() => void)[]>()
  readonly #fanIns = new AtMost(MOST_FAN_INS)
  readonly #cleans = new AtMost(MOST_CLEANS)
  readonly #commands = new AtMost(MOST_COMMANDS)
  /** One may have to wait for long: for a pause to end, or for chains of its group. */
  readonly #reopens = new AtMost(Infinity)

  constructor(options: JobsOptions) {
    this.#options = options
  }

  /** Takes note of the job rows that a commit has written, or that a new owner has found. */
  apply(changed: Draft['changed']): void {
    for (const [key, row] of changed) {
      if (!key.startsWith(JOBS)) continue
      if (row === null) this.#pumps.delete(key)
      else this.start(key, row as JobRow)
    }
  }

  start(key: RowKey, job: JobRow): void {
    switch (job.kind) {
      case 'pump':
        this.#pumps.set(key, job)
        this.#newPump = true
        return
      case 'fan-in':
        return this.#work(this.#fanIns, job, () => this.#fanIn(job))
      case 'clean':
        return this.#work(this.#cleans, job, () => this.#clean(job))
      case 'resume':
        // Groups that began while the pipeline was paused, too.
        this.#newPump = true
        return this.#work(this.#commands, job, () => this.#resume(job))
      case 'finals':
        return this.#work(this.#commands, job, () => this.#finals(job))
      case 'wake':
        return this.#work(this.#commands, job, () => this.#wake(job))
      case 'seek':
        return this.#work(this.#commands, job, () => this.#seek(job))
      case 'reopen':
        return this.#work(this.#reopens, job, () => this.#reopen(job))
    }
  }

  get pumping(): boolean {
    return this.#pumps.size > 0
  }

  /**
   * After each turn. Groups that could start nothing are not looked at before something arrives for their pipeline: however many they are, others
   * go on.
   */
  park(batch: readonly Arrived[], changed: Draft['changed']): void {
    if (this.#onChange.size > 0) this.#tellChanged(batch)
    for (const { input } of batch) {
      if (input.type !== 'pump') continue
      const { job } = input
      const keys = new RunKeys(job.id, job.gen)
      const key = keys.job('pump', job.path)
      if (changed.has(keys.group(job.path)) || !this.#pumps.delete(key)) continue
      const parked = this.#parked.get(keys.pipeline)
      if (parked === undefined) this.#parked.set(keys.pipeline, new Map([[key, job]]))
      else parked.set(key, job)
    }
  }

  /** Resolves when something has been committed for the pipeline. */
  #changed(pipeline: RowKey): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#onChange.get(pipeline)
      if (waiting === undefined) this.#onChange.set(pipeline, [resolve])
      else waiting.push(resolve)
    })
  }

  #tellChanged(batch: readonly Arrived[]): void {
    for (const { input } of batch) {
      for (const pipeline of needs(input)) {
        for (const tell of this.#onChange.get(pipeline) ?? []) tell()
        this.#onChange.delete(pipeline)
      }
    }
  }

  /** What these speak of may be different afterwards. */
  wake(batch: readonly Arrived[]): void {
    if (this.#parked.size === 0) return
    for (const { input } of batch) {
      for (const pipeline of needs(input)) {
        for (const [key, job] of this.#parked.get(pipeline) ?? []) this.#pumps.set(key, job)
        this.#parked.delete(pipeline)
      }
    }
  }

  /** Whether a group has come since this was last asked. */
  takeNewPump(): boolean {
    const is = this.#newPump
    this.#newPump = false
    return is
  }

  /** Which groups may start how many further chains: as many as this process has room for, and more, through the queue, when it is busy. */
  pumpsDue(): readonly (readonly [PumpJob, number])[] {
    if (this.#pumps.size === 0) return []
    const { lane, space } = this.#options
    const room = lane?.room() ?? 0
    const overflow = lane === undefined || lane.isBusy() ? MOST_INPUTS : 0
    const share = Math.min(Math.ceil(Math.max(room, overflow) / this.#pumps.size), mostInputs(space.capabilities))
    if (share === 0) return []
    const due: (readonly [PumpJob, number])[] = []
    for (const [key, job] of this.#pumps) {
      due.push([job, share])
      if (due.length === PUMPS_A_TURN) break
      // Last in the order next time.
      if (this.#pumps.size > PUMPS_A_TURN) {
        this.#pumps.delete(key)
        this.#pumps.set(key, job)
      }
    }
    return due
  }

  /** Runs a job beside the turns; tries again if it fails. */
  #work(line: AtMost, job: JobRow, run: () => Promise<void>, failures = 0): void {
    const { clock, logger, partition, isOver } = this.#options
    line.run(async () => {
      if (isOver()) return
      try {
        await run()
      } catch (error) {
        if (isOver()) return
        logger.warn({ partition, job: job.kind, id: job.id, error }, 'a step of long work failed and is tried again')
        clock.after(Math.min(30_000, 100 * 2 ** failures), () => this.#work(line, job, run, failures + 1), {
          unref: true,
        })
      }
    })
  }

  async #fanIn(job: JobRow): Promise<void> {
    const { cache, scan, values, space, say } = this.#options
    const key = new RunKeys(job.id, job.gen).group(job.path)
    await cache.load([key])
    const group = cache.get(key) as GroupRow | null | undefined
    const { messageBytes, inlineBytes } = values.limits
    const limits = { keys: mostInputs(space.capabilities), causeBytes: messageBytes >> 1, stateBytes: inlineBytes }
    const joined =
      // The run was restarted: what is left of the group goes with its other rows.
      group === null || group === undefined
        ? { value: NONE, failed: false, state: undefined, keys: [], more: false }
        : await joinResults(scan, job, group, values.sink(blobPrefix(job.id, job.run)), limits)
    await say({ type: 'joined', job, joined }, 1)
  }

  async #clean(job: CleanJob): Promise<void> {
    const { space, scan, say, isOver } = this.#options
    if (job.blobs) await space.blobs.drop(blobPrefix(job.id, job.run))
    const prefix = cleanedBy(job)
    const page = Math.min(CLEAN_PAGE, mostInputs(space.capabilities))
    for (;;) {
      const rows = await scan(prefix, undefined, page)
      const done = rows.length < page
      await say({ type: 'cleaned', job, keys: rows.map(([key]) => key), done }, rows.length)
      if (done || isOver()) return
    }
  }

  /** Entries that became due while the pipeline was paused go on, a page at a time. */
  async #resume(job: JobRow): Promise<void> {
    const { scan, say, space, isOver } = this.#options
    const prefix = new RunKeys(job.id, job.gen).heldPrefix()
    const page = Math.min(STEP_PAGE, mostInputs(space.capabilities))
    for (;;) {
      const rows = await scan(prefix, undefined, page)
      const done = rows.length < page
      await say({ type: 'released', job, paths: rows.map(pathOfMark), done }, rows.length)
      if (done || isOver() || (await this.#statusOf(job)) !== 'RUNNING') return
    }
  }

  async #finals(job: JobRow): Promise<void> {
    const { scan, say, space } = this.#options
    const prefix = new RunKeys(job.id, job.gen).finalsPrefix()
    const page = Math.min(STEP_PAGE, mostInputs(space.capabilities))
    for (let after: RowKey | undefined; ;) {
      const rows = await scan(prefix, after, page)
      const done = rows.length < page
      await say({ type: 'finals', job, bases: rows.map(pathOfMark), done }, rows.length)
      if (done) return
      after = rows.at(-1)![0]
    }
  }

  /** Looks for those who wait for an event, a page at a time. */
  async #wake(job: WakeJob): Promise<void> {
    const { scan, say, space, cache, isOver } = this.#options
    const keys = new BoxKeys(job.id)
    const event = keys.event(Number(job.path))
    const page = Math.min(STEP_PAGE, mostInputs(space.capabilities))
    for (let after: RowKey | undefined; ;) {
      const rows = await scan(keys.waiters(), after, page)
      const done = rows.length < page
      await say({ type: 'woken', job, waiters: rows.map(([key]) => key), done }, rows.length)
      if (done || isOver()) return
      await cache.load([event])
      const sent = cache.get(event) as KeptEvent | null | undefined
      // One was wanted, and is found; or he has declined, and another round looks from the front.
      if (sent !== null && sent !== undefined && !isSearched(sent, job)) return
      after = rows.at(-1)![0]
    }
  }

  /** Looks for an event that is kept, a page at a time. */
  async #seek(job: JobRow & { readonly kind: 'seek' }): Promise<void> {
    const { scan, say, space, isOver } = this.#options
    const keys = new BoxKeys(job.id)
    const page = Math.min(STEP_PAGE, mostInputs(space.capabilities))
    for (let after: RowKey | undefined; ;) {
      const rows = await scan(keys.events(), after, page)
      const done = rows.length < page
      await say({ type: 'sought', job, events: rows.map(([key]) => keys.numberOf(key)), done }, rows.length)
      if (done || isOver()) return
      after = rows.at(-1)![0]
    }
  }

  /** Starts the failed chains of a group again, no more at a time than the group allows. */
  async #reopen(job: ReopenJob): Promise<void> {
    const { scan, say, cache, space, isOver } = this.#options
    const keys = new RunKeys(job.id, job.gen)
    const prefix = keys.resultsPrefix(job.path)
    for (let after: RowKey | undefined; ;) {
      await cache.load([keys.group(job.path), keys.pipeline])
      // From here to the wait nothing else happens: no change is missed.
      const status = this.#knownStatus(job)
      const group = cache.get(keys.group(job.path)) as GroupRow | null | undefined
      if (isOver()) return
      if ((status !== 'RUNNING' && status !== 'PAUSED') || group === null || group === undefined) break
      const room = Math.min(
        STEP_PAGE,
        mostInputs(space.capabilities),
        status === 'PAUSED' ? 0 : (group.most || Infinity) - (group.next - group.ended),
      )
      if (room <= 0) {
        await this.#changed(keys.pipeline)
        continue
      }
      const [row] = await scan(prefix, after, 1)
      if (row === undefined) break
      const [key, bytes] = row
      const most = Math.min(room, countFailures(job, row))
      if (most === 0) after = key
      else await say({ type: 'reopened', job, page: { key, bytes, most } }, most)
    }
    await say({ type: 'reopened', job, page: undefined }, 1)
  }

  /** Where the run that the job is for stands; undefined if it has another run, or none. */
  async #statusOf(job: JobRow): Promise<Status | undefined> {
    await this.#options.cache.load([new RunKeys(job.id, job.gen).pipeline])
    return this.#knownStatus(job)
  }

  #knownStatus(job: JobRow): Status | undefined {
    const row = this.#options.cache.get(new RunKeys(job.id, job.gen).pipeline) as PipelineRow | null | undefined
    return row?.run === job.run ? row.status : undefined
  }
}

function pathOfMark([key, bytes]: readonly [RowKey, Bytes]): string {
  return (decodeRow(key, bytes) as MarkRow).path
}
