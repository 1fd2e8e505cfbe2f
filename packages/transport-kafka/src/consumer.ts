// Receiving tasks and settling them.
//
// Q1. What it is given and nobody takes goes back, uncounted: a want may be answered by several logs, or after its receive has ended.
// Q2. A token names a task by its place and its grant. Whether it still holds it is for the log to say: who stood still while it was given one is given it by a lease that is over. So nothing is handed
//     over that its log denies, and what is late, or suspect, only when its `keep` was read in the log, and has held.
// Q3. Closing waits for what was given before its farewell, and gives it back.
import { setMaxListeners } from 'node:events'
import type { ConsumeOptions, Lease, ReceiveOptions, Send, Settlement, TaskConsumer } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { KafkaDriver } from './driver'
import { keyOfTask, letterRecord } from './letter'
import type { Outbox } from './outbox'
import type { Claimant, QueueLog } from './queue-log'
import type { Members, Saying } from './queue-record'
import type { Grant } from './queue-state'

export interface ConsumerParts {
  readonly driver: KafkaDriver
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly outbox: Outbox
  /** Throws if one of the sends may not be made. */
  readonly check: (sends: readonly Send[]) => void
  /** Where dead letters go. */
  readonly deadTopic: string
  /** Never used before, without a dot. */
  readonly name: string
  /** The logs that a queue's tasks may be in. */
  readonly logsOf: (queue: string) => readonly QueueLog[]
  readonly onClose: () => void
}

interface Token {
  readonly log: QueueLog
  readonly grant: string
  readonly offset: number
  readonly index: number
}

/** A want that waits in a log. */
interface Standing {
  readonly name: string
  readonly max: number
  readonly suspects: boolean
  readonly until: number
}

interface Given {
  readonly lease: Lease
  /** When it is to be looked at again, if nobody has taken it: the process has stood still. */
  readonly until: number
}

/** How long what it was given waits for somebody to take it. */
const LINGER_MS = 30
const MOST_STANDING_MS = 30_000
/** A want that is answered at once is answered within so long, or its log stands still. */
const ANSWER_MS = 5_000

export class Consumer implements TaskConsumer, Claimant {
  readonly #parts: ConsumerParts
  readonly #leaseMs: number
  /** Each log, and which of the queues it has. */
  readonly #logs = new Map<QueueLog, string[]>()
  readonly #standing = new Map<QueueLog, Standing>()
  readonly #asked = new Map<string, () => void>()
  /** Those that were ever asked. */
  readonly #wanted = new Set<QueueLog>()
  readonly #closing = new AbortController()
  readonly #wakes = new Set<() => void>()
  /** What logs have given, on its way to those who receive, or back. */
  readonly #arriving = new Set<Promise<unknown>>()
  #receiving = 0
  #given: Given[] = []
  #wants = 0
  #turn = 0

  constructor(parts: ConsumerParts, { queues, leaseMs }: ConsumeOptions) {
    if (!(leaseMs > 0)) throw new TaskError('TASKS_OPTIONS', `leaseMs must be a number above 0, not ${leaseMs}`)
    this.#parts = parts
    this.#leaseMs = Math.ceil(leaseMs)
    for (const queue of new Set(queues)) {
      for (const log of parts.logsOf(queue)) {
        const known = this.#logs.get(log)
        if (known === undefined) this.#logs.set(log, [queue])
        else known.push(queue)
        log.claimants.set(parts.name, this)
      }
    }
    // One for each receive that waits; Node 20 warns of more than ten.
    setMaxListeners(0, this.#closing.signal)
  }

  async receive({ max, waitMs, suspects, signal }: ReceiveOptions): Promise<readonly Lease[]> {
    const { clock, lifetime } = this.#parts
    lifetime.refuseIfOver()
    if (this.#closing.signal.aborted) throw new TaskError('TASKS_CLOSED', 'the consumer is closed')
    const signals = [signal, this.#closing.signal]
    const stopped = (): boolean => signals.some((each) => each?.aborted === true)
    if (max <= 0 || stopped() || this.#logs.size === 0) return []
    const until = clock.monotonic() + waitMs
    this.#receiving++
    try {
      return await this.#receive({ max, suspects, until, signals, stopped })
    } finally {
      this.#receiving--
      if (this.#receiving === 0 && signal?.aborted) void this.#unstand(this.#standing.keys())
    }
  }

  async #receive({
    max,
    suspects,
    until,
    signals,
    stopped,
  }: {
    readonly max: number
    readonly suspects: boolean
    readonly until: number
    readonly signals: readonly (AbortSignal | undefined)[]
    readonly stopped: () => boolean
  }): Promise<readonly Lease[]> {
    const { clock, lifetime } = this.#parts
    for (;;) {
      await Promise.all([...this.#logs.keys()].map((log) => log.started()))
      lifetime.refuseIfOver()
      if (stopped()) return []
      const taken = this.#take(max, suspects)
      if (taken.length > 0) return taken
      const patience = Math.min(until - clock.monotonic(), ANSWER_MS)
      // What was given is on its way: nothing more is wanted before it is known what that is.
      if (this.#arriving.size > 0 && patience > 0 && (await this.#news(patience, signals))) continue
      const log = this.#best(suspects)
      if (log !== undefined) {
        await this.#ask(log, max, suspects, signals)
        if (this.#hasGiven(suspects)) continue
        // Somebody was quicker.
      }
      const left = until - clock.monotonic()
      if (left <= 0 || stopped()) return []
      this.#stand(max, suspects, left)
      const due = Math.min(...[...this.#logs].map(([each, queues]) => each.dueIn(queues, suspects)))
      // A suspect that was given for another receive is not for this one: it goes back soon.
      if (!this.#hasGiven(suspects) && this.#best(suspects) === undefined)
        await this.#news(Math.min(left, Math.max(1, due)), signals)
    }
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    const { driver, lifetime, outbox, check, deadTopic } = this.#parts
    lifetime.refuseIfOver()
    check(sends)
    const dying = settlements.filter(({ op }) => op === 'dead').map(({ lease }) => (lease.token as Token).log)
    await Promise.all([...new Set(dying)].map((log) => log.started()))
    const letters = settlements.flatMap(({ lease, ...settlement }) => {
      const { log, offset, index } = lease.token as Token
      if (settlement.op !== 'dead' || leftOf(lease) === undefined) return []
      const key = keyOfTask(log.place.topic, log.place.partition, offset, index)
      return [letterRecord(key, settlement.letter, lease.body)]
    })
    const [outcomes, stored] = await Promise.all([
      outbox.send(sends),
      driver.produce(letters.map((record) => ({ topic: deadTopic, partition: 0, records: [record] }))),
    ])
    for (const outcome of [...outcomes, ...stored]) if (!outcome.ok) throw outcome.error
    const done = byLog(settlements.filter(({ op }) => op !== 'return').map(({ lease }) => lease))
    const sayings = new Map<QueueLog, Saying[]>()
    for (const [log, members] of done) append(sayings, log, { op: 'done', members })
    const delays = new Map<number, Lease[]>()
    for (const settlement of settlements)
      if (settlement.op === 'return') append(delays, Math.max(0, Math.ceil(settlement.delayMs)), settlement.lease)
    for (const [delayMs, leases] of delays)
      for (const [log, members] of byLog(leases)) append(sayings, log, { op: 'back', members, delayMs })
    await Promise.all([...sayings].map(([log, said]) => log.say(...said)))
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    this.#parts.lifetime.refuseIfOver()
    await Promise.all(
      [...byLog(leases)].map(([log, members]) => log.say({ op: 'keep', members, leaseMs: this.#leaseMs })),
    )
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    const given = this.#given.splice(0).map(({ lease }) => lease)
    await Promise.allSettled([this.#unstand(this.#wanted), this.#giveBack(given)])
    await Promise.allSettled(this.#arriving)
    for (const log of this.#logs.keys()) log.claimants.delete(this.#parts.name)
    this.#parts.onClose()
  }

  // ---- What logs say

  onGrant(log: QueueLog, grant: Grant): void {
    if (this.#standing.get(log)?.name === grant.name) this.#standing.delete(log)
    const arriving = this.#leasesOf(log, grant)
      .then((leases) => this.#offer(leases))
      // It cannot be read: its lease runs out.
      .catch(() => {})
      .finally(() => {
        this.#arriving.delete(arriving)
        this.#answered(grant.name)
        this.#wakeAll()
      })
    this.#arriving.add(arriving)
  }

  onMiss(name: string): void {
    for (const [log, standing] of this.#standing) if (standing.name === name) this.#standing.delete(log)
    this.#answered(name)
    this.#wakeAll()
  }

  onBegin(log: QueueLog): void {
    this.#standing.delete(log)
  }

  onNews(): void {
    this.#wakeAll()
  }

  // ---- Handing over

  async #leasesOf(log: QueueLog, { grant, tasks }: Grant): Promise<readonly Lease[]> {
    const bodies = await log.bodiesOf(tasks)
    // What was read in the middle of a log that is read anew may be past.
    await log.started()
    return tasks.flatMap(({ queue, offset, from, deliveries }, i) =>
      bodies[i]!.map(({ id, body }, nth): Lease => {
        const token: Token = { log, grant, offset, index: from + nth }
        // What a caller does to it must not change what another is given.
        return { id, queue, body: Buffer.from(body), deliveries, token }
      }),
    )
  }

  async #offer(leases: readonly Lease[]): Promise<void> {
    if (this.#closing.signal.aborted) return this.#giveBack(leases)
    const doubtful = leases.filter((lease) => lease.deliveries > 1 || this.#isLate(lease))
    await Promise.all([...byLog(doubtful)].map(([log, members]) => this.#keepIn(log, members)))
    const held = leases.filter((lease) => leftOf(lease) !== undefined)
    if (this.#closing.signal.aborted) return this.#giveBack(held)
    const { clock } = this.#parts
    const until = clock.monotonic() + this.#leaseMs / 2
    const given = new Set(held.map((lease): Given => ({ lease, until })))
    this.#given.push(...given)
    this.#wakeAll()
    clock.after(LINGER_MS, () => {
      const untaken = this.#given.filter((each) => given.has(each))
      this.#given = this.#given.filter((each) => !given.has(each))
      void this.#giveBack(untaken.map(({ lease }) => lease))
    })
  }

  async #keepIn(log: QueueLog, members: readonly Members[]): Promise<void> {
    await log.tell({ op: 'keep', members, leaseMs: this.#leaseMs })
  }

  #isLate(lease: Lease): boolean {
    return (leftOf(lease) ?? 0) < this.#leaseMs / 2
  }

  #hasGiven(suspects: boolean): boolean {
    return this.#given.some(({ lease }) => suspects || lease.deliveries === 1)
  }

  /** A suspect comes alone. */
  #take(max: number, suspects: boolean): readonly Lease[] {
    if (this.#given.length === 0) return []
    const now = this.#parts.clock.monotonic()
    const late = this.#given.filter(({ until }) => until <= now)
    if (late.length > 0) {
      this.#given = this.#given.filter(({ until }) => until > now)
      this.#offer(late.map(({ lease }) => lease)).catch(() => {})
    }
    const suspect = this.#given.findIndex(({ lease }) => lease.deliveries > 1)
    if (suspects && suspect >= 0) return this.#given.splice(suspect, 1).map(({ lease }) => lease)
    const taken: Lease[] = []
    this.#given = this.#given.filter(({ lease }) => {
      const isTaken = lease.deliveries === 1 && taken.length < max
      if (isTaken) taken.push(lease)
      return !isTaken
    })
    return taken
  }

  /** The log that has the most urgent; of several another one each time. */
  #best(suspects: boolean): QueueLog | undefined {
    const logs = [...this.#logs]
    let best: QueueLog | undefined
    let highest = -1
    const first = this.#turn++
    for (let i = 0; i < logs.length; i++) {
      const [log, queues] = logs[(first + i) % logs.length]!
      const priority = log.best(queues, suspects) ?? -1
      if (priority <= highest) continue
      highest = priority
      best = log
    }
    return best
  }

  async #ask(
    log: QueueLog,
    max: number,
    suspects: boolean,
    signals: readonly (AbortSignal | undefined)[],
  ): Promise<void> {
    const name = `${this.#parts.name}.${++this.#wants}`
    const queues = this.#logs.get(log)!
    let answered = false
    this.#asked.set(name, () => (answered = true))
    this.#wanted.add(log)
    try {
      await log.want({ name, queues, max, suspects, leaseMs: this.#leaseMs, waitMs: 0 })
      if (answered) return
      await this.#parts.lifetime.wait(ANSWER_MS, signals, (wake) => {
        this.#asked.set(name, wake)
        return () => {}
      })
    } finally {
      this.#asked.delete(name)
    }
  }

  #answered(name: string): void {
    this.#asked.get(name)?.()
  }

  /** Leaves a want in every log, unless there is one that does. */
  #stand(max: number, suspects: boolean, ms: number): void {
    const { clock } = this.#parts
    const now = clock.monotonic()
    const waitMs = Math.ceil(Math.min(ms, MOST_STANDING_MS))
    for (const [log, queues] of this.#logs) {
      const known = this.#standing.get(log)
      if (known !== undefined && known.max <= max && known.suspects === suspects && known.until > now) continue
      const name = known?.name ?? `${this.#parts.name}.${++this.#wants}`
      this.#standing.set(log, { name, max, suspects, until: now + waitMs })
      this.#wanted.add(log)
      log.want({ name, queues, max, suspects, leaseMs: this.#leaseMs, waitMs }).catch(() => {
        if (this.#standing.get(log)?.name === name) this.#standing.delete(log)
      })
    }
  }

  /** Nothing is wanted any more. Resolves when everything that was given before has come. */
  async #unstand(logs: Iterable<QueueLog>): Promise<void> {
    const farewells = [...logs].map((log) => {
      const names = [this.#standing.get(log)?.name].filter((name) => name !== undefined)
      this.#standing.delete(log)
      return log.tell({ op: 'unwant', names })
    })
    // If this fails, they run out.
    await Promise.allSettled(farewells)
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    // If this fails, the lease runs out.
    await Promise.all(
      [...byLog(leases)].map(([log, members]) => log.say({ op: 'back', members, delayMs: 0 }).catch(() => {})),
    )
  }

  /** Whether there is any, within so long. */
  #news(ms: number, signals: readonly (AbortSignal | undefined)[]): Promise<boolean> {
    return this.#parts.lifetime.wait(ms, signals, (wake) => {
      this.#wakes.add(wake)
      return () => this.#wakes.delete(wake)
    })
  }

  #wakeAll(): void {
    for (const wake of this.#wakes) wake()
  }
}

/** In ms, at least; undefined if it is somebody else's by now, or nobody's. */
function leftOf({ token }: Lease): number | undefined {
  const { log, grant, offset, index } = token as Token
  return log.leftOf(offset, index, grant)
}

/** What was handed out together is named together. */
function byLog(leases: readonly Lease[]): Map<QueueLog, Members[]> {
  const logs = new Map<QueueLog, Map<string, { grant: string; offset: number; indexes: number[] }>>()
  for (const { token } of leases) {
    const { log, grant, offset, index } = token as Token
    let groups = logs.get(log)
    if (groups === undefined) logs.set(log, (groups = new Map()))
    const key = `${offset} ${grant}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { grant, offset, indexes: [index] })
    else group.indexes.push(index)
  }
  return new Map([...logs].map(([log, groups]) => [log, [...groups.values()]]))
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}
