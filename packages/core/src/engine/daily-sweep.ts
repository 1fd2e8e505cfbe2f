// About once a day: what nothing else deletes. Dead letters whose retention has ended; and blobs that nobody will ask for, of a client that died before
// its submit, of a worker that wrote for a run that was over. Each owner looks after the ids of its partition, the first one after the rest.
//
// The time to the next sweep is drawn anew by each owner, from a distribution without a memory: so a partition is swept once a day on the average, whether it
// stays for weeks or moves every hour, and nobody has to remember when it last was.
import type { Clock } from '../clock'
import { partitionOf, unescapeId } from '../ids'
import type { Logger } from '../logger'
import { isLoneBlob, isOldLoneBlob } from '../lone-task'
import type { Space } from '../transport'
import type { RowCache } from './row-cache'
import { firstRun, pipelineKey } from './row-keys'
import type { PipelineRow } from './rows'

const DAY_MS = 24 * 3_600_000
/** An owner that stays sweeps after this time at the latest. */
const MOST_MS = 1.5 * DAY_MS
const PAGE = 500
const DEAD_LETTER_RETENTION_MS = 7 * DAY_MS

export interface DailySweepOptions {
  readonly space: Space
  readonly cache: RowCache
  readonly clock: Clock
  readonly logger: Logger
  readonly partition: number
  readonly isOver: () => boolean
}

export class DailySweep {
  readonly #options: DailySweepOptions
  #cancel: () => void = () => undefined

  constructor(options: DailySweepOptions) {
    this.#options = options
  }

  start(): void {
    const { clock } = this.#options
    this.#after(Math.min(MOST_MS, -Math.log(1 - clock.random()) * DAY_MS))
  }

  stop(): void {
    this.#cancel()
  }

  #after(ms: number): void {
    const { clock, logger, partition, isOver } = this.#options
    const sweep = (): void => {
      void this.sweep()
        .catch((error: unknown) =>
          logger.warn({ partition, error }, 'dead letters and unused blobs could not be swept'),
        )
        .finally(() => isOver() || this.start())
    }
    this.#cancel = clock.after(ms, sweep, { unref: true })
  }

  async sweep(): Promise<void> {
    if (this.#options.partition === 0) await this.#dropOldDeadLetters()
    await this.#dropUnusedBlobs()
  }

  async #dropOldDeadLetters(): Promise<void> {
    const { space, clock, isOver } = this.#options
    const before = clock.now() - DEAD_LETTER_RETENTION_MS
    for (;;) {
      // In order of arrival: the first that is young enough ends it.
      const page = await space.dead.list({ limit: PAGE })
      for (const { id, at } of page) {
        if (isOver() || at >= before) return
        await space.dead.drop(id)
      }
      if (page.length < PAGE) return
    }
  }

  async #dropUnusedBlobs(): Promise<void> {
    const { space, clock, isOver } = this.#options
    const before = clock.now() - DAY_MS
    for (let after: string | undefined; ;) {
      const page = await space.blobs.list({ limit: PAGE, ...(after === undefined ? {} : { after }) })
      for (const { key, at } of page) {
        if (isOver()) return
        if (at < before && (await this.#isUnused(key))) await space.blobs.drop(key)
      }
      if (page.length < PAGE) return
      after = page.at(-1)!.key
    }
  }

  async #isUnused(key: string): Promise<boolean> {
    const { space, cache, clock, partition } = this.#options
    // Those of lone tasks belong to no partition: the first one looks after them.
    if (isLoneBlob(key)) return partition === 0 && isOldLoneBlob(key, clock)
    const [id = '', run] = key.split('/')
    if (partitionOf(unescapeId(id), space.partitions) !== partition) return false
    const row = pipelineKey(unescapeId(id))
    await cache.load([row])
    const pipeline = cache.get(row) as PipelineRow | null | undefined
    return pipeline === null || pipeline === undefined || firstRun(pipeline.run) !== run
  }
}
