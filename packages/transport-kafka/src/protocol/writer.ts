// Stores batches outside of transactions. Those of one turn of the event loop, and those that come while requests are under way, leave together: a broker works on one request of a
// connection at a time, and each costs what a thousand records cost.
import type { Batch, NewRecord, Place, Stored } from '../driver'
import { closed, refused, unavailable } from '../failure'
import type { Cluster, Lines } from './cluster'
import { meaningOf, nameOf } from './codes'
import { NotSent } from './line'
import { encodeBatch, recordBytes } from './record-batch'
import { PRODUCE } from './requests'

interface Job extends Place {
  readonly records: readonly NewRecord[]
  readonly bytes: number
  readonly until: number
  readonly settle: (stored: Stored) => void
  tries: number
  /** A try that was not answered may have stored it. */
  inDoubt: boolean
}

const MOST_UNDER_WAY = 4
const MOST_BATCH_BYTES = 950_000
const MOST_REQUEST_BYTES = 8 * 1024 * 1024
const BROKER_MS = 5_000

export class Writer {
  readonly #cluster: Cluster
  readonly #lines: Lines
  readonly #waiting = new Map<number, Job[]>()
  readonly #underWay = new Map<number, number>()
  #flushing = false
  #closed = false

  constructor(cluster: Cluster, lines: Lines) {
    this.#cluster = cluster
    this.#lines = lines
  }

  write(batches: readonly Batch[]): Promise<readonly Stored[]> {
    return Promise.all(batches.map((batch) => this.#add(batch)))
  }

  close(): void {
    this.#closed = true
    for (const jobs of this.#waiting.values()) for (const job of jobs) this.#fail(job, closed())
    this.#waiting.clear()
  }

  #add({ topic, partition, records }: Batch): Promise<Stored> {
    return new Promise((settle) => {
      const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0)
      const until = this.#cluster.clock.monotonic() + this.#cluster.patienceMs
      this.#enqueue({ topic, partition, records, bytes, until, settle, tries: 0, inDoubt: false })
    })
  }

  #enqueue(job: Job): void {
    if (this.#closed) return this.#fail(job, closed())
    const leader = this.#cluster.leaderOf(job) ?? -1
    const jobs = this.#waiting.get(leader)
    if (jobs === undefined) this.#waiting.set(leader, [job])
    else jobs.push(job)
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      for (const node of this.#waiting.keys()) this.#flush(node)
    })
  }

  #flush(node: number): void {
    if (node === -1) {
      const lost = this.#waiting.get(-1) ?? []
      this.#waiting.delete(-1)
      if (lost.length > 0) void this.#againAll(lost, new Error('nobody is known to lead it'))
      return
    }
    while ((this.#underWay.get(node) ?? 0) < MOST_UNDER_WAY) {
      const jobs = this.#take(node)
      if (jobs.length === 0) return
      this.#underWay.set(node, (this.#underWay.get(node) ?? 0) + 1)
      void this.#send(node, jobs).then(() => {
        this.#underWay.set(node, this.#underWay.get(node)! - 1)
        this.#flush(node)
      })
    }
  }

  /** As much as fits into one request, and for each partition into one batch. */
  #take(node: number): readonly Job[] {
    const waiting = this.#waiting.get(node)
    if (waiting === undefined) return []
    const taken: Job[] = []
    const left: Job[] = []
    const sizes = new Map<string, number>()
    let total = 0
    for (const job of waiting) {
      const place = `${job.topic}/${job.partition}`
      const before = sizes.get(place) ?? 0
      const fits =
        taken.length === 0 ||
        ((before === 0 || before + job.bytes <= MOST_BATCH_BYTES) && total + job.bytes <= MOST_REQUEST_BYTES)
      // What is left behind is not overtaken.
      sizes.set(place, fits ? before + job.bytes : Infinity)
      if (!fits) left.push(job)
      else {
        taken.push(job)
        total += job.bytes
      }
    }
    if (left.length === 0) this.#waiting.delete(node)
    else this.#waiting.set(node, left)
    return taken
  }

  async #send(node: number, jobs: readonly Job[]): Promise<void> {
    const places = new Map<string, Job[]>()
    for (const job of jobs) {
      const place = `${job.topic}/${job.partition}`
      const known = places.get(place)
      if (known === undefined) places.set(place, [job])
      else known.push(job)
    }
    const now = this.#cluster.clock.now()
    const batches = [...places.values()].map((members) => ({
      topic: members[0]!.topic,
      partition: members[0]!.partition,
      bytes: encodeBatch(
        members.flatMap(({ records }) => records),
        now,
      ),
    }))
    try {
      const answers = await this.#lines.to(node).call(PRODUCE, { transactionalId: null, timeoutMs: BROKER_MS, batches })
      for (const { topic, partition, code, offset } of answers) {
        const members = places.get(`${topic}/${partition}`) ?? []
        places.delete(`${topic}/${partition}`)
        this.#settle(members, code, offset)
      }
    } catch (error) {
      const lost = [...places.values()].flat()
      for (const job of lost) job.inDoubt ||= !(error instanceof NotSent)
      await this.#againAll(lost, error)
    }
  }

  #settle(jobs: readonly Job[], code: number, offset: number): void {
    if (code === 0) {
      let next = offset
      for (const { settle, records } of jobs) {
        settle({ ok: true, offset: next })
        next += records.length
      }
      return
    }
    const meaning = meaningOf(code)
    if (meaning === 'forbidden' || meaning === 'refused') {
      for (const job of jobs) this.#fail(job, refused(`${job.topic}/${job.partition}`, explain(code)))
      return
    }
    if (meaning === 'in doubt') for (const job of jobs) job.inDoubt = true
    void this.#againAll(jobs, new Error(nameOf(code)))
  }

  /** Looks at the cluster anew, and tries again, in the same order. */
  async #againAll(jobs: readonly Job[], error: unknown): Promise<void> {
    const cluster = this.#cluster
    const why = error instanceof Error ? error.message : String(error)
    const left = jobs.filter((job) => cluster.clock.monotonic() <= job.until)
    for (const job of jobs)
      if (!left.includes(job))
        this.#fail(job, unavailable(`${job.topic}/${job.partition}`, why, job.inDoubt ? 'unknown' : 'no', error))
    if (left.length === 0) return
    await cluster.pause(Math.max(...left.map((job) => job.tries++)))
    await cluster.refresh([...new Set(left.map(({ topic }) => topic))]).catch(() => {})
    for (const job of left) this.#enqueue(job)
  }

  #fail(job: Job, error: Error): void {
    job.settle({ ok: false, error })
  }
}

export function explain(code: number): string {
  return meaningOf(code) === 'forbidden'
    ? `${nameOf(code)}: the user may not do this; the README has the ACLs that suffice`
    : nameOf(code)
}
