// What a workload runs on: one transport, one namespace, workers and clients, the floors, and the place for its figures.
import assert from 'node:assert/strict'
import { dirname, join } from 'node:path'
import {
  connect,
  createClient,
  startWorker,
  type Client,
  type Connection,
  type PipelineHandle,
  type Transport,
  type Worker,
  type WorkerOptions,
} from '@tasks/core'
import { CONCURRENCY } from './concurrency'
import { bindBenchTasks, resultOf, type BenchTasks } from './bench-tasks'
import { adaptersOf } from './adapters'
import type { Cost } from './cost'
import { median } from './figures'
import { envelopeFloors } from './floors/envelopes'
import type { Floors } from './floors/floor'
import { kafkaFloors } from './floors/kafka-client'
import { natsFloors } from './floors/nats-publishes'
import { countLeft } from './left'
import { sqliteFloors, usedBytesOf } from './floors/sqlite-rows'
import { fileOf, placeOf, schemeOf, type Place } from './place'
import { RedisMeter } from './redis-meter'
import { startWorkerProcess, type WorkerProcess } from './worker-process'
import { Profiler, type Profile } from './profiler'
import type { Aim, Figure, Unit } from './figures'

export interface BedOptions {
  readonly url: string
  /** Whether tasks may run in their owner's process without a queue. */
  readonly lane: 'local' | 'queue'
  /** Sizes that a test can afford: the figures mean nothing. */
  readonly quick: boolean
  /** Where the profile goes, if there is to be one. The floors are left out of it. */
  readonly profile?: string
}

/** By scheme: an aim that was set for one transport says nothing of another. */
export type Aims = Readonly<Record<string, Aim>>

/** Medians. NaN where there is no floor. */
export interface Turns {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly floorSeconds: number
  /** The time, in times that of the floor. */
  readonly ratio: number
  readonly cpuRatio: number
}

/** A worker, wherever it is. */
export interface Host {
  close(): Promise<unknown>
  /** SIGKILL. Only processes can be killed. */
  kill?(): void
}

export const PATIENCE_MS = 300_000

type FloorName = Exclude<keyof Floors, 'close'>

const WARM_UP: Readonly<Record<FloorName, number>> = { items: 60_000, steps: 3_000, deliveries: 60_000, sends: 60_000 }
const UNKNOWN_COST: Cost = { seconds: Number.NaN, cpuSeconds: Number.NaN }

export class Bed {
  readonly url: string
  readonly namespace: string
  readonly lane: 'local' | 'queue'
  readonly quick: boolean
  readonly transport: Transport
  readonly tasks: BenchTasks
  readonly figures: Figure[] = []
  readonly floorTitles: Record<string, string> = {}
  readonly #scheme: string
  readonly #place: Place
  readonly #connection: Connection
  readonly #open: { close(): Promise<unknown> }[] = []
  readonly #profile: string | undefined
  readonly #profiler = new Profiler()
  #floors: Floors | undefined

  private constructor(options: BedOptions, place: Place, connection: Connection) {
    this.url = place.url
    this.#scheme = schemeOf(place.url)
    this.#place = place
    this.#connection = connection
    this.transport = connection.transport
    this.namespace = `bench-${process.pid}-${Date.now().toString(36)}`
    this.lane = options.lane
    this.quick = options.quick
    this.#profile = options.profile
    this.tasks = bindBenchTasks(this.namespace)
  }

  static async make(options: BedOptions): Promise<Bed> {
    const place = placeOf(options.url)
    return new Bed(options, place, await connect(place.url, { adapters: await adaptersOf(place.url) }))
  }

  size(full: number, quick: number): number {
    return this.quick ? quick : full
  }

  async startWorker(options: Partial<WorkerOptions> = {}): Promise<Worker> {
    return this.#closedWithIt(
      await startWorker({
        tasks: this.tasks.tasks,
        transport: this.transport,
        concurrency: CONCURRENCY,
        localLane: this.lane === 'local',
        ...options,
      }),
    )
  }

  createClient(): Client {
    return this.#closedWithIt(createClient({ namespace: this.namespace, transport: this.transport }))
  }

  /** A worker whose probes answer with this label: in a process of its own where the store can be shared, else in this one. */
  async startHost(label: string): Promise<Host> {
    const { url, namespace, lane } = this
    if (this.transport.capabilities.shared)
      return this.#closedWithIt(await startWorkerProcess({ url, namespace, lane, label }))
    return this.startWorker({ tasks: bindBenchTasks(namespace, label).tasks })
  }

  /** A worker in a process of its own. */
  async startWorkerProcess(lane = this.lane): Promise<WorkerProcess> {
    const { url, namespace } = this
    return this.#closedWithIt(await startWorkerProcess({ url, namespace, lane, label: 'elsewhere' }))
  }

  /** A worker that owns every partition, and a client. */
  async start(): Promise<{ readonly worker: Worker; readonly client: Client }> {
    const worker = await this.startWorker()
    const client = this.createClient()
    await everyPartitionAnswers(client)
    return { worker, client }
  }

  /** The same in a namespace of its own, on the same store. */
  async startNeighbour(): Promise<{ readonly tasks: BenchTasks; readonly client: Client }> {
    const namespace = `${this.namespace}-neighbour`
    const tasks = bindBenchTasks(namespace)
    await this.startWorker({ tasks: tasks.tasks })
    const client = this.#closedWithIt(createClient({ namespace, transport: this.transport }))
    await everyPartitionAnswers(client)
    return { tasks, client }
  }

  /** Redis rewrites its append-only file now, and then not while something is measured. */
  async settleServer(): Promise<void> {
    if (this.#scheme !== 'redis') return
    const meter = new RedisMeter(this.url)
    await meter.rewriteLog()
    await meter.close()
  }

  /** What it opens itself is closed with it. */
  #closedWithIt<T extends { close(): Promise<unknown> }>(opened: T): T {
    this.#open.push(opened)
    return opened
  }

  // ---- Figures ------------------------------------------------------------------------------------------------------

  note(name: string, value: number, unit: Unit, aims: Aims | Aim = {}): void {
    const aim = 'most' in aims ? (aims as Aim) : (aims as Aims)[this.#scheme]
    this.figures.push({ name, value, unit, ...(aim === undefined ? {} : { aim }) })
  }

  /** Notes the rate, the floor's, and the ratios of their costs. */
  noteTurns(name: string, count: number, of: FloorName, turns: Turns, aims: Aims = {}): void {
    this.note(name, count / turns.seconds, '/s')
    this.note(`${name}: CPU each`, (turns.cpuSeconds / count) * 1e6, 'µs')
    if (Number.isNaN(turns.ratio)) return
    this.note(`floor of ${name}`, count / turns.floorSeconds, '/s')
    this.note(`${name}: time against the floor`, turns.ratio, 'x', aims)
    this.note(`${name}: CPU against the floor`, turns.cpuRatio, 'x')
    const known = this.#floorFor(of)
    this.floorTitles[known] = this.floors![known]!.title
  }

  /** What has no floor of its own is held against that of items. */
  #floorFor(of: FloorName): FloorName {
    return this.floors?.[of] === undefined ? 'items' : of
  }

  /** Undefined on a transport that has none yet. */
  get floors(): Floors | undefined {
    if (this.#profile !== undefined) return undefined
    if (this.#floors !== undefined) return this.#floors
    if (this.#scheme === 'memory') this.#floors = envelopeFloors(resultOf)
    if (this.#scheme === 'kafka') this.#floors = kafkaFloors(this.url)
    if (this.#scheme === 'nats') this.#floors = natsFloors(this.url)
    if (this.#scheme === 'sqlite') {
      const file = fileOf(this.url)
      const synchronous = this.transport.capabilities.durability === 'fsync' ? 'FULL' : 'NORMAL'
      this.#floors = sqliteFloors(join(dirname(file), 'floor.db'), this.transport.capabilities.server, synchronous)
    }
    return this.#floors
  }

  /**
   * Runs the work and its floor in turns, so that both meet the same machine. What comes first is not counted: until some
   * thousands of items it is mostly the compiler that is measured. No garbage collection is forced in between: that flushes compiled code,
   * and made a chain step four times as dear.
   * @param count how many items one turn has
   * @param work says what it cost
   */
  async takeTurns(turns: number, of: FloorName, count: number, work: () => Promise<Cost>): Promise<Turns> {
    const floor = this.floors?.[this.#floorFor(of)]
    const works: Cost[] = []
    const floors: Cost[] = []
    const many = this.#profile === undefined ? turns : turns * 3
    const before = this.quick ? 1 : Math.max(1, Math.ceil(WARM_UP[of] / count))
    for (let turn = -before; turn < (this.quick ? 1 : many); turn++) {
      if (turn === 0) this.startProfile()
      const floorCost = (await floor?.run(count)) ?? UNKNOWN_COST
      const cost = await work()
      if (turn < 0) continue
      works.push(cost)
      floors.push(floorCost)
    }
    return {
      seconds: median(works.map(({ seconds }) => seconds)),
      cpuSeconds: median(works.map(({ cpuSeconds }) => cpuSeconds)),
      floorSeconds: median(floors.map(({ seconds }) => seconds)),
      ratio: median(works.map(({ seconds }, i) => seconds / floors[i]!.seconds)),
      cpuRatio: median(works.map(({ cpuSeconds }, i) => cpuSeconds / floors[i]!.cpuSeconds)),
    }
  }

  /** How much of its file the store uses, in bytes; undefined if it has none. */
  usedOfFile(): number | undefined {
    return this.#scheme === 'sqlite' ? usedBytesOf(fileOf(this.url), this.transport.capabilities.server) : undefined
  }

  // ---- Profile ------------------------------------------------------------------------------------------------------

  /** What went before is not in the profile. */
  startProfile(): void {
    if (this.#profile !== undefined) this.#profiler.start()
  }

  async takeProfile(): Promise<Profile | undefined> {
    return this.#profile === undefined || !this.#profiler.isRunning ? undefined : this.#profiler.stop(this.#profile)
  }

  // ---- Checks -------------------------------------------------------------------------------------------------------

  /** The run has ended well, each of its tasks has started once, and each result was taken once. */
  async checkCompleted(run: PipelineHandle<unknown>, tasks: number): Promise<void> {
    const { status, tasks: known, done, attempts } = await run.status()
    assert.deepEqual(
      { status, tasks: known, done, attempts },
      { status: 'COMPLETED', tasks, done: tasks, attempts: tasks },
    )
  }

  /** Every lone task was acknowledged. Only when no worker is up, which would hold some. */
  async checkQueueIsEmpty(): Promise<void> {
    assert.equal(await countLeft(this.transport, this.namespace), 0, 'tasks were left in the queue')
  }

  /** Nothing was given up. */
  async checkNoDeadLetters(client: Client): Promise<void> {
    const letters = await client.deadLetters.list({ limit: 3 })
    assert.deepEqual(letters, [], 'there are dead letters')
  }

  // ---- End ----------------------------------------------------------------------------------------------------------

  /** Closes what was opened, the last first. */
  async close(): Promise<void> {
    for (const opened of this.#open.reverse()) await opened.close()
    await this.#connection.close()
    this.#floors?.close()
  }

  removeStore(): void {
    this.#place.remove()
  }
}

/** Waits until every partition has an owner: a measurement must not begin with the claims. */
export async function everyPartitionAnswers(client: Client): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const { partitions, answering } = await client.owners()
    if (answering === partitions) return
  }
  assert.fail('not every partition has found an owner')
}
