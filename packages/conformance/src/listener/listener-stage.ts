// Where cases of listeners play: workers as processes would be, each with a registry and a connection of its own, on one store.
import {
  createClient,
  createTasks,
  startWorker,
  type Client,
  type Pipeline,
  type PipelineHandle,
  type Task,
  type Transport,
  type Worker,
} from '@tasks/core'
import { memoryStore, memoryTransport, type MemoryTransport } from '@tasks/core/memory'
import { silentLogger } from '@tasks/core/testing'
import { eventually, pause, within } from '../patience'
import type { ListenerHarness, ListenerProcess, ListenerSource } from './listener-harness'
import { mortal, type Crash } from './mortal-transport'

type Store = NonNullable<ListenerHarness['store']>

let stages = 0

export interface ProcessOptions {
  readonly localLane?: boolean
  /** It dies. */
  readonly crash?: Crash
}

export interface StageProcess {
  readonly worker: Worker
  /** Resolves when it has died of its `crash`. */
  readonly died: Promise<void>
}

export class ListenerStage {
  readonly patienceMs: number
  /** What came behind a wait: the event, and how many the source kept when it was handed on. */
  readonly notes: { readonly event: unknown; readonly held: number }[] = []
  readonly #settleMs: number
  readonly #leaseMs: number
  /** Other stages may be on the same store. */
  readonly #namespace = `listening-${stages++}`
  readonly #store: Store
  readonly #client: Client
  readonly #cleanUps: (() => unknown)[] = []
  #source: ListenerSource | undefined
  #describing: { readonly process: ListenerProcess; readonly note: Task<[unknown], Promise<unknown>> } | undefined

  private constructor(
    { leaseMs = 500, eventuallyMs = 20_000, settleMs = 50 }: ListenerHarness,
    store: Store,
    transport: Transport,
  ) {
    this.patienceMs = eventuallyMs
    this.#settleMs = settleMs
    this.#leaseMs = leaseMs
    this.#store = store
    this.#client = createClient({ namespace: this.#namespace, transport, logger: silentLogger })
    this.#cleanUps.push(
      () => transport.close(),
      () => this.#client.close(),
    )
  }

  /** Plays on a stage of its own. */
  static async play<T>(harness: ListenerHarness, part: (stage: ListenerStage) => Promise<T>): Promise<T> {
    const store = harness.store ?? inMemory()
    const stage = new ListenerStage(harness, store, await store.create())
    try {
      stage.#source = await harness.create({ namespace: stage.#namespace, client: stage.#client })
      return await part(stage)
    } finally {
      await stage.#end()
    }
  }

  get source(): ListenerSource {
    return this.#source!
  }

  /** A worker that listens. */
  async process({ localLane = true, crash }: ProcessOptions = {}): Promise<StageProcess> {
    const tasks = createTasks({ namespace: this.#namespace })
    const process = this.source.process(tasks)
    const note = tasks.bind('note', async (event: unknown) => {
      this.notes.push({ event, held: (await this.source.held?.()) ?? 0 })
      return event
    })
    this.#describing ??= { process, note }
    const connection = await this.#store.create()
    const kill = (): unknown => {
      process.die?.()
      return this.#store.crash === undefined ? connection.close() : this.#store.crash(connection)
    }
    const { transport, died } = mortal(connection, crash, kill)
    const worker = await startWorker({
      tasks,
      transport,
      localLane,
      logger: silentLogger,
      leaseMs: this.#leaseMs,
      partitions: 2,
      drainMs: 1_000,
    })
    this.#cleanUps.push(
      () => process.die?.(),
      () => transport.close(),
      () => worker.close({ drainMs: 0 }),
    )
    return { worker, died }
  }

  /** Waits for an event, and notes it. */
  wait(nth: number): Pipeline<unknown> {
    const { process, note } = this.#describing!
    return process.wait(nth).continueWith(note)
  }

  submit(id: string, pipeline: Pipeline<unknown>): Promise<PipelineHandle<unknown>> {
    return this.#client.submit(pipeline, { id }) as Promise<PipelineHandle<unknown>>
  }

  result(run: PipelineHandle<unknown>): Promise<unknown> {
    return run.result({ timeoutMs: this.patienceMs })
  }

  eventually<T>(attempt: () => T | Promise<T>): Promise<T> {
    return eventually(this.patienceMs, attempt)
  }

  within<T>(what: string, promise: Promise<T>): Promise<T> {
    return within(this.patienceMs, what, promise)
  }

  /** Long enough for what should not happen to happen. */
  quiet(): Promise<void> {
    return pause(this.#settleMs)
  }

  async #end(): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse())
      await within(this.patienceMs, 'the end', Promise.resolve(cleanUp())).catch(() => undefined)
    await this.#source?.close?.()
  }
}

function inMemory(): Store {
  const store = memoryStore()
  return {
    create: () => memoryTransport({ store }),
    crash: (transport) => (transport as MemoryTransport).crash(),
  }
}
