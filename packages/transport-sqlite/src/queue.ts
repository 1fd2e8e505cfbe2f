// Receiving tasks and settling them.
//
// Q1. A lease row names the messages of one batch. They are held as long as it exists; whoever finds it run out puts them back.
// Q2. `Batch.open` holds those of a batch that are not settled yet, and follows the transactions: a settlement of anything else is stale.
//     So is one whose lease ran out, unless nobody else has got the message since: then `reclaim` finds it among the suspects.
// Q3. A suspect is handed out alone, so that its lease has no other members.
import { setMaxListeners } from 'node:events'
import type { Bytes, ConsumeOptions, Lease, ReceiveOptions, Send, Settlement, TaskConsumer } from '@tasks/core'
import type { Lifetime } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import { addLetter } from './dead-letters'
import type { Row, Write } from './group-commit'
import { fitting } from './limits'
import type { Namespace } from './namespace'
import type { Outbox } from './outbox'
import { makeReady } from './returns'
import type { Store } from './store'

class Batch {
  readonly lease: number
  readonly open = new Set<Delivery>()

  constructor(lease: number) {
    this.lease = lease
  }
}

interface Delivery {
  readonly queue: number
  readonly seq: number
  batch: Batch
}

export class Consumer implements TaskConsumer {
  readonly #store: Store
  readonly #lifetime: Lifetime
  readonly #namespace: Namespace
  readonly #outbox: Outbox
  readonly #names: readonly string[]
  readonly #leaseMs: number
  readonly #endUse: () => void
  readonly #closing = new AbortController()
  #queues: readonly number[] | undefined

  constructor(
    store: Store,
    lifetime: Lifetime,
    namespace: Namespace,
    outbox: Outbox,
    { queues, leaseMs }: ConsumeOptions,
  ) {
    if (!(leaseMs > 0)) throw new TaskError('TASKS_OPTIONS', `leaseMs must be a number above 0, not ${leaseMs}`)
    this.#store = store
    this.#lifetime = lifetime
    this.#namespace = namespace
    this.#outbox = outbox
    this.#names = [...new Set(queues)]
    this.#leaseMs = leaseMs
    this.#endUse = store.returns.use()
    // One for each receive that waits; Node 20 warns of more than ten.
    setMaxListeners(0, this.#closing.signal)
  }

  async receive({ max, waitMs, suspects, signal }: ReceiveOptions): Promise<readonly Lease[]> {
    const { group, clock } = this.#store
    if (max <= 0) return []
    this.#lifetime.refuseIfOver()
    if (this.#closing.signal.aborted) throw new TaskError('TASKS_CLOSED', 'the consumer is closed')
    const stopped = (): boolean => this.#closing.signal.aborted || signal?.aborted === true
    const until = clock.monotonic() + waitMs
    // Before the first message of a queue somebody must give it a number.
    this.#queues ??= await group.note((write) => this.#names.map((name) => this.#namespace.queue(write, name)))
    let likely = this.#somethingReady()
    while (!stopped()) {
      if (likely) {
        const leases = await group.note((write) => (stopped() ? [] : this.#take(write, max, suspects)))
        if (leases.length > 0) return leases
      }
      const left = until - clock.monotonic()
      if (left <= 0 || stopped()) break
      likely = await this.#changed(left, signal)
      if (!likely) break
    }
    return []
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    this.#lifetime.refuseIfOver()
    this.#outbox.check(sends)
    await this.#store.group.write((write) => {
      this.#outbox.write(write, sends)
      const groups = byBatch(settlements, ({ lease }) => lease)
      for (const [batch, members] of groups) {
        this.#settleBatch(write, batch, members)
      }
    })
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    this.#lifetime.refuseIfOver()
    const { group, clock, returns } = this.#store
    const expires = Math.ceil(clock.now() + this.#leaseMs)
    await group.note((write) => {
      for (const [batch, members] of byBatch(leases, (lease) => lease)) {
        const held = isHeld(write, batch)
        const kept = members.map(delivery).filter((each) => batch.open.has(each) && (held || reclaim(write, each)))
        if (kept.length === 0) continue
        if (held && kept.length === batch.open.size)
          write.run('UPDATE lease SET expires = ? WHERE id = ?', expires, batch.lease)
        else this.#split(write, batch, kept, expires)
      }
    })
    returns.expect(expires)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#endUse()
  }

  // ---- Receiving

  #somethingReady(): boolean {
    return this.#queues!.some((queue) => this.#store.group.get(ANY, queue) !== undefined)
  }

  /** Waits until one of the queues may have something; false when the time is over. Rejects when the store is closed. */
  #changed(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    return this.#lifetime.wait(ms, [signal, this.#closing.signal], (wake) =>
      this.#store.waiting.forQueues({ queues: this.#queues!, wake }),
    )
  }

  #take(write: Write, max: number, suspects: boolean): Lease[] {
    const found = (suspects && this.#takeSuspect(write)) || this.#takeReady(write, max)
    if (found.length === 0) return []
    const batch = new Batch(write.draw(1))
    const expires = Math.ceil(this.#store.clock.now() + this.#leaseMs)
    const members = JSON.stringify(found.map(({ seq }) => seq))
    write.run('INSERT INTO lease VALUES (?, ?, ?, ?)', batch.lease, this.#store.process, expires, members)
    write.after(() => this.#store.returns.expect(expires))
    return found.map((row) => {
      const token: Delivery = { queue: row['queue'] as number, seq: row['seq'] as number, batch }
      batch.open.add(token)
      return {
        id: row['id'] as string,
        queue: this.#namespace.queueName(row['queue'] as number),
        body: row['body'] as Bytes,
        deliveries: (row['expired'] as number) + 1,
        token,
      }
    })
  }

  #takeSuspect(write: Write): Row[] | undefined {
    const queues = this.#queues!
    const found = write.get(SUSPECT, JSON.stringify(queues))
    if (!found) return undefined
    write.run('DELETE FROM suspect WHERE queue = ? AND seq = ?', found['queue']!, found['seq']!)
    return [found]
  }

  #takeReady(write: Write, max: number): Row[] {
    const queues = this.#queues!
    const { heads, bytes } = readySql(queues.length)
    const count = fitting(max, (count) => write.get(bytes, ...queues, count)!['bytes'] as number)
    const found = write.all(heads, ...queues, count)
    // What was taken of a queue is the head of its index.
    const last = new Map(found.map((row) => [row['queue']!, row]))
    for (const [queue, { rank, seq }] of last) {
      write.run('DELETE FROM ready WHERE queue = ? AND (rank, seq) <= (?, ?)', queue, rank!, seq!)
    }
    return found
  }

  // ---- Settling

  #settleBatch(write: Write, batch: Batch, settlements: readonly Settlement[]): void {
    const held = isHeld(write, batch)
    const done: number[] = []
    let returned = false
    for (const settlement of settlements) {
      const each = delivery(settlement.lease)
      if (!batch.open.has(each) || !(held || reclaim(write, each))) continue
      batch.open.delete(each)
      write.undo(() => batch.open.add(each))
      switch (settlement.op) {
        case 'ack':
          done.push(each.seq)
          break
        case 'return':
          returned = true
          this.#return(write, each.seq, settlement.delayMs)
          break
        case 'dead':
          done.push(each.seq)
          addLetter(
            write,
            write.draw(1),
            this.#namespace.id,
            settlement.lease.id,
            this.#store.clock.now(),
            settlement.letter,
            settlement.lease.body,
          )
          break
      }
    }
    if (done.length === 1) write.run('DELETE FROM message WHERE seq = ?', done[0]!)
    else if (done.length > 1)
      write.run('DELETE FROM message WHERE seq IN (SELECT value FROM json_each(?))', JSON.stringify(done))
    if (!held) return
    if (batch.open.size === 0) write.run('DELETE FROM lease WHERE id = ?', batch.lease)
    else if (returned) writeMembers(write, batch)
  }

  #return(write: Write, seq: number, delayMs: number): void {
    if (delayMs <= 0) return makeReady(write, seq)
    const due = Math.ceil(this.#store.clock.now() + delayMs)
    write.run('INSERT INTO delayed VALUES (?, ?)', due, seq)
    write.after(() => this.#store.returns.expect(due))
  }

  /** Gives those that are still wanted a lease of their own, so that the others come back. */
  #split(write: Write, batch: Batch, kept: readonly Delivery[], expires: number): void {
    const other = new Batch(write.draw(1))
    for (const each of kept) {
      batch.open.delete(each)
      each.batch = other
      other.open.add(each)
      write.undo(() => {
        each.batch = batch
        batch.open.add(each)
      })
    }
    write.run('INSERT INTO lease VALUES (?, ?, ?, ?)', other.lease, this.#store.process, expires, memberList(other))
    writeMembers(write, batch)
  }
}

function delivery(lease: Lease): Delivery {
  return lease.token as Delivery
}

function byBatch<T>(items: readonly T[], leaseOf: (item: T) => Lease): Map<Batch, T[]> {
  const groups = new Map<Batch, T[]>()
  for (const item of items) {
    const { batch } = delivery(leaseOf(item))
    const group = groups.get(batch)
    if (group) group.push(item)
    else groups.set(batch, [item])
  }
  return groups
}

function isHeld(write: Write, batch: Batch): boolean {
  return batch.open.size > 0 && write.get('SELECT 1 FROM lease WHERE id = ?', batch.lease) !== undefined
}

/** Takes a message whose lease ran out back from the suspects, if nobody else has got it since. */
function reclaim(write: Write, { queue, seq, batch }: Delivery): boolean {
  if (write.run('DELETE FROM suspect WHERE queue = ? AND seq = ? AND lease = ?', queue, seq, batch.lease) === 0)
    return false
  write.run('UPDATE message SET expired = expired - 1 WHERE seq = ?', seq)
  return true
}

function memberList(batch: Batch): string {
  return JSON.stringify([...batch.open].map(({ seq }) => seq))
}

function writeMembers(write: Write, batch: Batch): void {
  write.run('UPDATE lease SET members = ? WHERE id = ?', memberList(batch), batch.lease)
}

const ANY = `
SELECT 1 WHERE EXISTS (SELECT 1 FROM ready WHERE queue = ?1) OR EXISTS (SELECT 1 FROM suspect WHERE queue = ?1)`

const SUSPECT = `
SELECT s.queue, s.seq, m.id, m.expired, m.body FROM suspect s JOIN message m ON m.seq = s.seq
WHERE s.queue IN (SELECT value FROM json_each(?)) ORDER BY s.seq LIMIT 1`

interface ReadySql {
  readonly heads: string
  readonly bytes: string
}

// SQLite joins no more SELECTs into one.
const MAX_TERMS = 500
const readyStatements = new Map<number, ReadySql>()

// The heads of all queues, each read in the order of its index, and the best of them.
function bestOf(heads: readonly string[], limit: string): string {
  if (heads.length <= MAX_TERMS) return `${heads.join(' UNION ALL ')} ORDER BY rank, seq LIMIT ${limit}`
  const parts = Array.from({ length: Math.ceil(heads.length / MAX_TERMS) }, (_, i) =>
    bestOf(heads.slice(i * MAX_TERMS, (i + 1) * MAX_TERMS), limit),
  )
  return bestOf(
    parts.map((part) => `SELECT * FROM (${part})`),
    limit,
  )
}

function readySql(queues: number): ReadySql {
  let sql = readyStatements.get(queues)
  if (sql === undefined) {
    const limit = `?${queues + 1}`
    const heads = Array.from(
      { length: queues },
      (_, i) =>
        `SELECT * FROM (SELECT queue, rank, seq FROM ready WHERE queue = ?${i + 1} ORDER BY rank, seq LIMIT ${limit})`,
    )
    const rows = `SELECT h.queue, h.rank, h.seq, m.id, m.expired, m.body FROM (${bestOf(heads, limit)}) h
JOIN message m ON m.seq = h.seq ORDER BY h.rank, h.seq`
    sql = { heads: rows, bytes: `SELECT total(length(body)) AS bytes FROM (${rows})` }
    readyStatements.set(queues, sql)
  }
  return sql
}
