// Where engine cases play: workers and clients on connections of their own, as processes would have, in one of three lane modes.
import {
  createClient,
  startWorker,
  type Client,
  type Tasks,
  type Transport,
  type Worker,
  type WorkerOptions,
} from '@tasks/core'
import { silentLogger } from '@tasks/core/testing'
import type { TransportHarness } from '../harness'
import { within } from '../patience'

/**
 * How tasks reach their functions: `local`, handed over by an owner in the same process where that is possible; `queue`, always through the
 * transport; `mixed`, one process of each kind.
 */
export const lanes = ['local', 'queue', 'mixed'] as const
export type Lane = (typeof lanes)[number]

/** What a live worker needs to give back what it has. */
const GOODBYE_MS = 1_000

export interface StageWorker {
  readonly worker: Worker
  readonly transport: Transport
}

export class EngineStage {
  readonly harness: TransportHarness
  readonly namespace: string
  readonly lane: Lane
  readonly leaseMs: number
  readonly patienceMs: number
  readonly #cleanUps: (() => Promise<void>)[] = []

  constructor(harness: TransportHarness, namespace: string, lane: Lane) {
    this.harness = harness
    this.namespace = namespace
    this.lane = lane
    this.leaseMs = harness.leaseMs ?? 1_000
    this.patienceMs = Math.max(10_000, 2 * (harness.eventuallyMs ?? 5_000))
  }

  /** A worker on a connection of its own. */
  async worker(tasks: Tasks, options: Partial<WorkerOptions> = {}): Promise<StageWorker> {
    const transport = await this.harness.create()
    const worker = await startWorker({
      tasks,
      transport,
      logger: silentLogger,
      leaseMs: this.leaseMs,
      partitions: 4,
      drainMs: 2_000,
      localLane: this.lane !== 'queue',
      ...options,
    })
    this.#cleanUps.push(async () => {
      // One that has crashed waits for answers that do not come: it is not waited for.
      await within(GOODBYE_MS, 'the close of a worker', worker.close({ drainMs: 0 })).catch(() => undefined)
      await transport.close()
    })
    return { worker, transport }
  }

  /** The workers of this lane mode: one process, or one of each kind. */
  async workers(tasks: Tasks, options: Partial<WorkerOptions> = {}): Promise<readonly StageWorker[]> {
    const first = await this.worker(tasks, options)
    if (this.lane !== 'mixed') return [first]
    return [first, await this.worker(tasks, { ...options, localLane: false })]
  }

  async client(): Promise<Client> {
    const transport = await this.harness.create()
    const client = createClient({ namespace: this.namespace, transport, logger: silentLogger })
    this.#cleanUps.push(async () => {
      await client.close()
      await transport.close()
    })
    return client
  }

  async end(): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp().catch(() => undefined)
  }
}
