// Runs a scenario: its workers, its clients, and what happens to them, until everything that was asked for has come, and then until nothing is left.
import {
  createClient,
  startWorker,
  TaskError,
  type Client,
  type CloudEvent,
  type EventItem,
  type Logger,
  type PipelineStatus,
  type Send,
  type Transport,
  type Worker,
} from '@tasks/core'
import { memoryStore, memoryTransport, type MemoryStore } from '@tasks/core/memory'
import { sleep } from '@tasks/core/adapter'
import { pausesItself } from '@tasks/oracle'
import { Faults } from './faults'
import { History } from './history'
import { Journal } from './journal'
import { ALL_TASKS, Author, NAMESPACE } from './pipelines'
import { Process } from './process'
import { processTransport } from './process-transport'
import type { Random } from './random'
import type { LonerRecord, Recording } from './recording'
import { LATEST_SUBMIT_MS, Requests, RETENTION_MS } from './requests'
import { isKeptLoner, mayRunAgain, type Mishap, type Scenario, type WorkerSpec } from './scenario'
import { isDrawnSubmit } from './saying'
import { Scheduler } from './scheduler'
import { LISTENER_QUEUES } from './sources'
import { heardOf } from './worker-events'

/** Long after the last thing has gone wrong, everything must have come. */
const PATIENCE_MS = 2 * 3_600_000
const MOST_STEPS = 1_000_000
const DRAIN_MS = 60_000
/** By then somebody has folded what is in an inbox, though nobody has heard of it: a command, or what a client that died has submitted. */
const STORED_MS = 90_000

export async function simulate(scenario: Scenario, only?: ReadonlySet<string>): Promise<Recording> {
  return new Cluster(scenario, only).run()
}

interface Slot {
  readonly spec: WorkerSpec
  readonly index: number
  generation: number
  process: Process | undefined
  worker: Worker | undefined
  passes: number
}

/** A process that shares the events with others of its kind. */
interface MemberSlot {
  readonly index: number
  generation: number
  process: Process | undefined
  passes: number
}

interface ClientSlot {
  readonly index: number
  /** The worker in whose process it lives. */
  readonly near: number | undefined
  generation: number
  process: Process | undefined
  passes: number
}

class Cluster {
  readonly #scenario: Scenario
  readonly #scheduler = new Scheduler()
  readonly #history = new History(this.#scheduler)
  readonly #journal: Journal
  readonly #faults: Faults
  readonly #store: MemoryStore
  readonly #slots: readonly Slot[]
  readonly #clients: readonly ClientSlot[]
  readonly #members: readonly MemberSlot[]
  readonly #requests: Requests
  readonly #finished = new Set<string>()
  readonly #keeper: Process | undefined
  readonly #crier: Process | undefined
  readonly #listener: Process | undefined
  #gaps = 0
  /** Whether there is a subscription by that name: who comes then says nothing of where it begins. */
  #isSubscribed = false
  #healed = false

  constructor(scenario: Scenario, only: ReadonlySet<string> | undefined) {
    this.#scenario = scenario
    const pausing = scenario.pipelines.filter(({ submits }) => submits.some(({ program }) => pausesItself(program)))
    const { level = 'pipelines', events = [], subscription } = scenario
    this.#journal = new Journal(this.#history, new Set(pausing.map(({ id }) => id)), scenario)
    this.#faults = new Faults(scenario.seed, scenario.faults, only)
    this.#store = memoryStore({ clock: this.#process('store').clock })
    this.#store.create(NAMESPACE, scenario.partitions)
    this.#slots = scenario.workers.map((spec, index) => ({
      spec,
      index,
      generation: 0,
      process: undefined,
      worker: undefined,
      passes: 0,
    }))
    this.#clients = Array.from({ length: scenario.clients }, (_, index) => ({
      index,
      near: scenario.near?.find(({ client }) => client === index)?.worker,
      generation: 0,
      process: undefined,
      passes: 0,
    }))
    this.#members = (subscription?.handleMs ?? []).map((_, index) => ({
      index,
      generation: 0,
      process: undefined,
      passes: 0,
    }))
    this.#requests = new Requests(scenario, this.#history)
    if (level !== 'none' || scenario.workerEvents !== undefined) this.#listener = this.#process('listener')
    if (events.length > 0 && scenario.pipelines.some((pipeline) => mayRunAgain(scenario, pipeline)))
      this.#crier = this.#process('crier')
    if (pausing.length > 0 || this.#requests.commands.some(({ spec }) => spec.command === 'pause'))
      this.#keeper = this.#process('keeper')
  }

  async run(): Promise<Recording> {
    for (const slot of this.#slots) this.#startWorker(slot)
    for (const slot of this.#clients) if (slot.near === undefined) this.#startClient(slot)
    this.#helped(this.#keeper, (process, client) => this.#requests.keep(process, client))
    this.#helped(this.#crier, (process, client) => this.#requests.cry(process, client))
    this.#helped(this.#listener, (process, client) => this.#listen(process, client))
    for (const slot of this.#members) this.#startMember(slot)
    for (const mishap of this.#scenario.mishaps) this.#arrange(mishap)
    this.#scheduler.after(this.#scenario.healAtMs, () => this.#healed || this.#heal())
    const statuses = new Map<string, PipelineStatus>()
    const stuck =
      (await this.#until(
        'what was asked for has not come',
        () => this.#allCame(),
        this.#scenario.healAtMs + PATIENCE_MS,
      )) ??
      (await this.#comeToRest()) ??
      (await this.#audit(statuses)) ??
      (await this.#cleanUp())
    return {
      scenario: this.#scenario,
      history: this.#history,
      journal: this.#journal,
      faults: this.#faults,
      submits: this.#requests.submits,
      loners: this.#requests.loners,
      commands: this.#requests.commands,
      told: this.#requests.told,
      gaps: this.#gaps,
      statuses,
      letters: this.#letters(),
      stuck,
      steps: this.#scheduler.steps,
    }
  }

  /** Undefined if it came to that. */
  async #until(what: string, reached: () => boolean, ms: number): Promise<string | undefined> {
    const ending = await this.#scheduler.run(reached, ms, MOST_STEPS)
    return ending === 'reached' ? undefined : `${what} (${ending})`
  }

  #heal(): void {
    this.#healed = true
    this.#faults.heal()
    this.#history.note('sim', 'from here on nothing goes wrong')
    for (const { process } of [...this.#slots, ...this.#members]) process?.resume()
  }

  // ---- Processes ----------------------------------------------------------------------------------------------------

  #process(name: string, onPass: (process: Process) => void = () => undefined): Process {
    const [most, seldom] = this.#scenario.latencyMs
    const latency = (random: Random): number => (random.chance(0.02) ? seldom : most) * random.next()
    return new Process(this.#scheduler, name, { seed: this.#scenario.seed, latency, onPass })
  }

  #transport(process: Process, latestMs = Infinity): Transport {
    const { maxMessageBytes, maxCommitItems } = this.#scenario
    const told = (fault: string): void => {
      if (fault.startsWith('commit') && fault.endsWith('unanswered')) this.#journal.unanswered()
      this.#history.add(process.name, { what: 'fault', fault })
    }
    const inner = memoryTransport({
      store: this.#store,
      clock: process.clock,
      faults: this.#faults.hooks(() => process.runs, latestMs, told),
      maxMessageBytes,
      maxCommitItems,
    })
    const hasReader = this.#scenario.reader ?? true
    return processTransport({
      process,
      inner,
      hasReader,
      faults: this.#faults,
      history: this.#history,
      journal: this.#journal,
      onStored: (send) => this.#echo(send),
    })
  }

  /** What was stored once may come twice, and late. */
  #echo(send: Send): void {
    const { echoMs } = this.#scenario
    if (echoMs === undefined || !isDrawnSubmit(send)) return
    this.#scheduler.after(echoMs, () => {
      if (this.#healed) return
      this.#history.note('sim', `delivers ${send.id} again`)
      this.#store.namespaces.get(NAMESPACE)?.send([send], {})
    })
  }

  #logger(process: Process): Logger {
    const log =
      (level: 'warn' | 'error') =>
      ({ error, ...fields }: Record<string, unknown>, message: string): void => {
        const cause = error instanceof Error ? `: ${error.message}` : ''
        if (!process.dead)
          this.#history.add(process.name, { what: 'log', level, text: `${message}${cause} ${JSON.stringify(fields)}` })
      }
    return { debug: () => undefined, info: () => undefined, warn: log('warn'), error: log('error') }
  }

  // ---- Workers ------------------------------------------------------------------------------------------------------

  #startWorker(slot: Slot): void {
    const { spec } = slot
    const process = this.#process(`w${slot.index}.${slot.generation++}`, () => this.#passedWorker(slot))
    slot.process = process
    slot.worker = undefined
    this.#history.note(process.name, 'starts')
    const kill = (): void => {
      if (slot.process === process) this.#crash(slot)
    }
    const { tasks } = Author.worker(process, this.#history, spec.knows, kill, this.#journal.sources)
    const near = this.#clients.filter((client) => client.near === slot.index)
    const transport = this.#transport(process, near.length === 0 ? Infinity : LATEST_SUBMIT_MS)
    const start = async (): Promise<void> => {
      const worker = await startWorker({
        tasks,
        transport,
        clock: process.clock,
        logger: this.#logger(process),
        leaseMs: this.#scenario.leaseMs,
        concurrency: spec.concurrency,
        roles: spec.roles,
        localLane: spec.localLane,
        queues: spec.listens ? [...spec.queues, ...LISTENER_QUEUES] : spec.queues,
        drainMs: DRAIN_MS,
        maxDeliveries: this.#scenario.maxDeliveries ?? (this.#scenario.calm ? 5 : 100_000),
        events: this.#scenario.level ?? 'pipelines',
        workerEvents: this.#scenario.workerEvents === 'best effort',
        durableWorkerEvents: this.#scenario.workerEvents === 'durable',
        unknownTaskGraceMs: RETENTION_MS,
      })
      if (slot.process === process) slot.worker = worker
    }
    for (const client of near) this.#startClientIn(process, client, transport)
    void start().catch((error: unknown) => {
      this.#history.note(process.name, `did not start: ${String(error)}`)
      this.#crash(slot)
    })
  }

  #crash(slot: Slot): void {
    if (slot.process === undefined || slot.process.dead) return
    this.#history.note(slot.process.name, 'CRASHES')
    slot.process.die()
    this.#startLater(slot)
  }

  #startLater(slot: Slot): void {
    slot.process = undefined
    slot.worker = undefined
    // From at once to long after its leases have run out.
    const waitMs = [0, 50, 700, 20_000][slot.generation % 4]!
    this.#scheduler.after(waitMs, () => {
      if (slot.process === undefined) this.#startWorker(slot)
    })
  }

  #passedWorker(slot: Slot): void {
    if (this.#healed) return
    const pass = slot.passes++
    for (const mishap of this.#scenario.mishaps) {
      if (mishap.kind !== 'crash' && mishap.kind !== 'crash of a client') continue
      const worker = mishap.kind === 'crash' ? mishap.worker : this.#clients[mishap.client]!.near
      if (worker === slot.index && mishap.pass === pass) this.#crash(slot)
    }
  }

  #arrange(mishap: Mishap): void {
    if (mishap.kind === 'crash' || mishap.kind === 'crash of a client' || mishap.kind === 'crash of a member') return
    this.#scheduler.after(mishap.atMs, () => {
      if (this.#healed) return
      if (mishap.kind === 'blackout') {
        this.#history.note('sim', 'BLACKOUT')
        for (const slot of this.#slots) this.#crash(slot)
        return
      }
      if (mishap.kind === 'pause of a member') return this.#pause(this.#members[mishap.member]!.process, mishap)
      const slot = this.#slots[mishap.worker]!
      if (mishap.kind === 'pause') return this.#pause(slot.process, mishap)
      const { process, worker } = slot
      if (process === undefined) return
      this.#history.note(process.name, JSON.stringify(mishap))
      switch (mishap.kind) {
        case 'jump':
          return process.jump(mishap.byMs)
        case 'deploy':
          if (worker === undefined) return
          void worker.close().then(() => {
            if (slot.process !== process) return
            process.die()
            this.#startLater(slot)
          })
      }
    })
  }

  #pause(process: Process | undefined, mishap: Extract<Mishap, { readonly forMs: number }>): void {
    if (process === undefined) return
    this.#history.note(process.name, JSON.stringify(mishap))
    process.pause()
    this.#scheduler.after(mishap.forMs, () => process.resume())
  }

  // ---- Clients ------------------------------------------------------------------------------------------------------

  #startClient(slot: ClientSlot): void {
    const process = this.#process(`c${slot.index}.${slot.generation++}`, () => this.#passedClient(slot))
    this.#startClientIn(process, slot, this.#transport(process, LATEST_SUBMIT_MS))
  }

  #startClientIn(process: Process, slot: ClientSlot, transport: Transport): void {
    slot.process = process
    const author = Author.client()
    const client = this.#client(process, author, transport)
    const isNear = slot.near !== undefined
    const { submits, loners, commands, events } = this.#requests
    for (const record of submits)
      if (record.submit.client === slot.index)
        this.#drive(process, () => this.#requests.submit(process, client, author, record, isNear))
    for (const record of loners)
      if (record.loner.client === slot.index)
        this.#drive(process, () => this.#requests.enqueue(process, client, author, record))
    for (const record of commands)
      if (record.spec.client === slot.index) this.#drive(process, () => this.#requests.command(process, client, record))
    for (const record of events)
      if (record.spec.client === slot.index)
        this.#drive(process, () => this.#requests.sendEvent(process, client, record))
  }

  #client(process: Process, { tasks }: Author, transport = this.#transport(process)): Client {
    return createClient({ namespace: NAMESPACE, transport, clock: process.clock, logger: this.#logger(process), tasks })
  }

  #drive(process: Process, job: () => Promise<void>): void {
    job().catch((error: unknown) => {
      if (!process.dead) this.#journal.broken.push(`a client of ${process.name} got ${String(error)}`)
    })
  }

  #passedClient(slot: ClientSlot): void {
    if (this.#healed) return
    const pass = slot.passes++
    for (const mishap of this.#scenario.mishaps) {
      if (mishap.kind !== 'crash of a client' || mishap.client !== slot.index || mishap.pass !== pass) continue
      this.#history.note(slot.process!.name, 'CRASHES')
      slot.process!.die()
      this.#scheduler.after(300, () => this.#startClient(slot))
      return
    }
  }

  /** Somebody beside the clients of the scenario, if there is to be one. */
  #helped(process: Process | undefined, job: (process: Process, client: Client) => Promise<void>): void {
    if (process === undefined) return
    const client = this.#client(process, Author.client())
    this.#drive(process, () => job(process, client))
  }

  /** Hears all that is said. */
  async #listen(process: Process, client: Client): Promise<void> {
    for await (const item of await client.subscribe({ from: 'beginning' }))
      if (item.kind === 'gap') this.#gaps++
      else this.#hear(process, item.event)
  }

  #hear(process: Process, event: CloudEvent): void {
    this.#journal.log.hear(event)
    const heard = this.#scenario.workerEvents === undefined ? undefined : heardOf(event)
    if (heard !== undefined) this.#history.add(process.name, heard)
  }

  // ---- Members of a named subscription ------------------------------------------------------------------------------

  #startMember(slot: MemberSlot): void {
    const process = this.#process(`s${slot.index}.${slot.generation++}`, () => this.#passedMember(slot))
    slot.process = process
    const client = this.#client(process, Author.client())
    this.#drive(process, () => this.#share(process, client, slot.index))
  }

  /** Whoever dies while it handles something has not handled it. */
  async #share(process: Process, client: Client, index: number): Promise<void> {
    const { leaseMs, handleMs } = this.#scenario.subscription!
    const handle = async (batch: readonly EventItem[]): Promise<void> => {
      await sleep(process.clock, handleMs[index]!)
      this.#history.note(process.name, `has handled ${batch.length} events`)
      for (const item of batch)
        if (item.kind === 'gap') this.#journal.shared.miss(item.partition)
        else this.#journal.shared.handle(item.event)
    }
    for (;;) {
      try {
        await client.subscribe({ name: 'shared', from: this.#isSubscribed ? 'new' : 'beginning', leaseMs }, handle)
        this.#isSubscribed = true
        return
      } catch (error) {
        if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
        await sleep(process.clock, 1_000)
      }
    }
  }

  #passedMember(slot: MemberSlot): void {
    if (this.#healed) return
    const pass = slot.passes++
    for (const mishap of this.#scenario.mishaps) {
      if (mishap.kind !== 'crash of a member' || mishap.member !== slot.index || mishap.pass !== pass) continue
      this.#history.note(slot.process!.name, 'CRASHES')
      slot.process!.die()
      this.#scheduler.after([300, 15_000][slot.generation % 2]!, () => this.#startMember(slot))
      return
    }
  }

  // ---- Ends ---------------------------------------------------------------------------------------------------------

  #allCame(): boolean {
    const { submits, loners, commands, events } = this.#requests
    return (
      submits.every(({ answer }) => answer !== undefined) &&
      commands.every(({ answer }) => answer !== undefined) &&
      events.every(({ spec, sent }) => sent >= spec.times) &&
      loners.every((record) => this.#isDone(record))
    )
  }

  #isDone({ loner, expected, sent, answer }: LonerRecord): boolean {
    if (answer !== undefined) return true
    if (!sent || this.#scenario.calm || isKeptLoner(loner)) return false
    const [unit] = loner.program
    if (unit?.kind !== 'task') return true
    if ('failure' in expected.outcome) return this.#letters().includes(`failed ${unit.label}`)
    const last = expected.attempts
    return this.#hasFinished(unit.label, last)
  }

  #seen = 0
  #hasFinished(label: string, attempt: number): boolean {
    const { entries } = this.#history
    for (; this.#seen < entries.length; this.#seen++) {
      const { happening } = entries[this.#seen]!
      if (happening.what === 'finished') this.#finished.add(`${happening.label} ${happening.attempt}`)
    }
    return this.#finished.has(`${label} ${attempt}`)
  }

  #letters(): string[] {
    const letters = this.#store.namespaces.get(NAMESPACE)?.letters.list(undefined, 10_000) ?? []
    return letters.map(({ info, body }) => {
      const label = /"label":"(\w+)"/.exec(Buffer.from(body).toString())?.[1]
      return `${info.reason} ${label ?? info.message}`
    })
  }

  /** What is on its way still arrives; some of it, as a restart that was tried twice, may start a run. */
  async #comeToRest(): Promise<string | undefined> {
    if (!this.#healed) this.#heal()
    const lateMs = this.#faults.lateMs === 0 ? 0 : this.#faults.lateMs + 1_000
    const { calm, echoMs } = this.#scenario
    // Among them a submit that was sent again because nobody had answered: taken only when retentions have passed, it would be a run of its own (seed 18396).
    const mayBeStored = !calm || this.#requests.events.length > 0 || echoMs !== undefined
    await this.#scheduler.run(() => false, lateMs + (mayBeStored ? STORED_MS : 0), MOST_STEPS)
    const stuck = await this.#until('a run does not end', () => this.#journal.allEnded, PATIENCE_MS)
    if (this.#crier !== undefined) {
      this.#crier.die()
      // What it has just sent still arrives: an event is kept from then on.
      await this.#scheduler.run(() => false, lateMs + 10_000, MOST_STEPS)
    }
    if (stuck !== undefined || this.#listener === undefined) return stuck
    return (
      (await this.#until('not every event is heard', () => this.#journal.log.isHeard, 60_000)) ??
      (await this.#untilHandled())
    )
  }

  /** What somebody held who died is another's when its lease is over. */
  async #untilHandled(): Promise<string | undefined> {
    const { shared } = this.#journal
    const stuck = await this.#until('', () => shared.isHandled, 600_000)
    return stuck === undefined ? undefined : `N1: ${shared.left} events are handled by nobody${stuck}`
  }

  /** Asks, as anybody could, what has become of the pipelines. */
  async #audit(statuses: Map<string, PipelineStatus>): Promise<string | undefined> {
    const process = this.#process('audit')
    const client = this.#client(process, Author.client())
    let asked = 0
    const ask = async (id: string): Promise<void> => {
      try {
        const status = await client.status(id)
        if (status !== undefined) statuses.set(id, status)
        asked++
      } catch (error) {
        // Somebody may have to take over first.
        if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
        await ask(id)
      }
    }
    const { pipelines } = this.#scenario
    for (const { id } of pipelines) this.#drive(process, () => ask(id))
    return this.#until('owners do not answer', () => asked === pipelines.length, 60_000)
  }

  /** Closes every worker. When all retentions have passed, a new one finds what is left, and leaves nothing. */
  async #cleanUp(): Promise<string | undefined> {
    let closing = 0
    for (const slot of this.#slots) {
      const { process, worker } = slot
      // Nobody starts in its place.
      slot.process = this.#process('gone')
      if (worker === undefined || process === undefined) process?.die()
      else {
        closing++
        void worker.close().then(() => {
          closing--
          process.die()
        })
      }
    }
    const stuck = await this.#until('a worker does not close', () => closing === 0, 10 * DRAIN_MS)
    if (stuck !== undefined) return stuck
    for (const { process } of this.#clients) process?.die()
    this.#keeper?.die()
    this.#listener?.die()
    for (const { process } of this.#members) process?.die()
    await this.#scheduler.run(() => false, RETENTION_MS + 3_600_000, MOST_STEPS)
    const { queues, listens } = this.#scenario.workers[0]!
    const spec: WorkerSpec = { ...LAST_WORKER, queues, ...(listens ? { listens } : {}) }
    this.#startWorker({ spec, index: 9, generation: 0, process: undefined, worker: undefined, passes: 0 })
    // What was on its way between partitions when everybody left is remembered for an hour.
    return (
      (await this.#until('rows are left behind', () => this.#journal.rows().length === 0, 4_500_000)) ??
      (await this.#untilDelivered())
    )
  }

  async #untilDelivered(): Promise<string | undefined> {
    const stuck = await this.#until('', () => this.#journal.undelivered === 0, 3_600_000)
    return stuck === undefined ? undefined : `I8: ${this.#journal.undelivered} sends of commits come to nobody${stuck}`
  }
}

/** Finds what is left when all others are gone. */
export const LAST_WORKER = {
  roles: ['owner', 'worker'],
  concurrency: 10,
  localLane: true,
  knows: ALL_TASKS,
} as const satisfies Partial<WorkerSpec>
