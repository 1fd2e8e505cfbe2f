// Receiving tasks and settling them.
//
// Q1. What it is given and nobody takes goes back, uncounted: a want may be answered by several logs, or after its receive has ended.
// Q2. A token names a task by its place and its grant. Whether it still holds it is for the log to say.
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
  readonly #closing = new AbortController()
  readonly #wakes = new Set<() => void>()
  #given: Lease[] = []
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
    await Promise.all([...this.#logs.keys()].map((log) => log.started()))
    for (;;) {
      lifetime.refuseIfOver()
      if (stopped()) return []
      const taken = this.#take(max, suspects)
      if (taken.length > 0) return taken
      const log = this.#best(suspects)
      if (log !== undefined) {
        await this.#ask(log, max, suspects, signals)
        if (this.#hasGiven(suspects)) continue
        // Somebody was quicker.
      }
      const left = until - clock.monotonic()
      if (left <= 0) return []
      this.#stand(max, suspects, left)
      const due = Math.min(...[...this.#logs].map(([each, queues]) => each.dueIn(queues, suspects)))
      // A suspect that was given for another receive is not for this one: it goes back soon.
      if (!this.#hasGiven(suspects) && this.#best(suspects) === undefined)
        await lifetime.wait(Math.min(left, Math.max(1, due)), signals, (wake) => this.#listen(wake))
    }
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    const { driver, lifetime, outbox, check, deadTopic } = this.#parts
    lifetime.refuseIfOver()
    check(sends)
    const letters = settlements.flatMap(({ lease, ...settlement }) => {
      const { log, grant, offset, index } = lease.token as Token
      if (settlement.op !== 'dead' || !log.isHeldBy(offset, index, grant)) return []
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
    const given = this.#given.splice(0)
    // It stays known to its logs: what they still give it goes back.
    const farewells = [...this.#standing].map(([log, { name }]) => log.say({ op: 'unwant', names: [name] }))
    await Promise.allSettled([...farewells, this.#giveBack(given)])
  }

  // ---- What logs say

  onGrant(log: QueueLog, { name, grant, tasks }: Grant): void {
    if (this.#standing.get(log)?.name === name) this.#standing.delete(log)
    const leases = log.bodiesOf(tasks).then((bodies) =>
      tasks.map(({ queue, offset, index, deliveries }, i): Lease => ({
        id: bodies[i]!.id,
        queue,
        // What a caller does to it must not change what another is given.
        body: Buffer.from(bodies[i]!.body),
        deliveries,
        token: { log, grant, offset, index } satisfies Token,
      })),
    )
    leases.then(
      (found) => {
        this.#answered(name)
        if (this.#closing.signal.aborted) return this.#giveBack(found)
        this.#given.push(...found)
        this.#wakeAll()
        this.#parts.clock.after(LINGER_MS, () => {
          const left = new Set(found)
          const untaken = this.#given.filter((lease) => left.has(lease))
          this.#given = this.#given.filter((lease) => !left.has(lease))
          void this.#giveBack(untaken)
        })
        return undefined
      },
      // It cannot be read: its lease runs out.
      () => this.#answered(name),
    )
  }

  onMiss(name: string): void {
    this.#answered(name)
  }

  onNews(): void {
    this.#wakeAll()
  }

  // ---- Asking

  #hasGiven(suspects: boolean): boolean {
    return this.#given.some(({ deliveries }) => suspects || deliveries === 1)
  }

  /** A suspect comes alone. */
  #take(max: number, suspects: boolean): readonly Lease[] {
    if (this.#given.length === 0) return []
    const suspect = this.#given.findIndex(({ deliveries }) => deliveries > 1)
    if (suspects && suspect >= 0) return this.#given.splice(suspect, 1)
    const taken = this.#given.filter(({ deliveries }) => deliveries === 1).slice(0, max)
    this.#given = this.#given.filter((lease) => !taken.includes(lease))
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
    try {
      await log.say({ op: 'want', want: { name, queues, max, suspects, leaseMs: this.#leaseMs, waitMs: 0 } })
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
      log.say({ op: 'want', want: { name, queues, max, suspects, leaseMs: this.#leaseMs, waitMs } }).catch(() => {
        if (this.#standing.get(log)?.name === name) this.#standing.delete(log)
      })
    }
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    // If this fails, the lease runs out.
    await Promise.all(
      [...byLog(leases)].map(([log, members]) => log.say({ op: 'back', members, delayMs: 0 }).catch(() => {})),
    )
  }

  #listen(wake: () => void): () => void {
    this.#wakes.add(wake)
    return () => this.#wakes.delete(wake)
  }

  #wakeAll(): void {
    for (const wake of this.#wakes) wake()
  }
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
