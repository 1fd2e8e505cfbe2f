// What comes back by itself: messages of leases that ran out, and returned messages whose delay is over.
import type { Clock } from '@tasks/core/adapter'
import type { Group, Write } from './group-commit'

/** Puts the unsettled messages of a lease back, as suspects, and drops the lease. */
export function expireLease(write: Write, lease: number): void {
  const members = write.all(
    'UPDATE message SET expired = expired + 1 WHERE seq IN (SELECT value FROM json_each((SELECT members FROM lease WHERE id = ?))) RETURNING queue, seq',
    lease,
  )
  for (const { queue, seq } of members) {
    write.run('INSERT INTO suspect VALUES (?, ?, ?)', queue!, seq!, lease)
    write.changed.queues.add(queue as number)
  }
  write.run('DELETE FROM lease WHERE id = ?', lease)
}

const NOBODY = 0

/** Makes a message available again: one that was ever left behind by its holder stays a suspect. */
export function makeReady(write: Write, seq: number): void {
  const message = write.get('SELECT queue, rank, expired FROM message WHERE seq = ?', seq)
  if (!message) return
  const queue = message['queue'] as number
  if (message['expired'] === 0) write.run('INSERT INTO ready VALUES (?, ?, ?)', queue, message['rank'] as number, seq)
  else write.run('INSERT INTO suspect VALUES (?, ?, ?)', queue, seq, NOBODY)
  write.changed.queues.add(queue)
}

// Two clocks of one machine never differ, but a timer may be early by a fraction.
const SLACK_MS = 1
const RETRY_MS = 1000

/** One timer for the whole file, set to what is due next; it runs while somebody of this process receives. */
export class Returns {
  readonly #group: Group
  readonly #clock: Clock
  #users = 0
  #dueAt = Infinity
  #cancel: () => void = () => {}

  constructor(group: Group, clock: Clock) {
    this.#group = group
    this.#clock = clock
  }

  use(): () => void {
    if (this.#users++ === 0) this.refresh()
    let used = true
    return () => {
      if (!used) return
      used = false
      if (--this.#users === 0) this.#disarm()
    }
  }

  /** Something will come back at `at`. */
  expect(at: number): void {
    if (this.#users > 0 && at < this.#dueAt) this.#arm(at)
  }

  /** Asks the file, since other processes may have taken leases. */
  refresh(): void {
    if (this.#users === 0) return
    const next = this.#group.get(NEXT)!['next'] as number | null
    if (next === null) this.#disarm()
    else if (next !== this.#dueAt) this.#arm(next)
  }

  close(): void {
    this.#users = 0
    this.#disarm()
  }

  #disarm(): void {
    this.#cancel()
    this.#dueAt = Infinity
  }

  #arm(at: number): void {
    this.#disarm()
    this.#dueAt = at
    this.#cancel = this.#clock.after(Math.max(0, at - this.#clock.now()) + SLACK_MS, () => this.#collect(), {
      unref: true,
    })
  }

  #collect(): void {
    this.#dueAt = Infinity
    this.#group
      .note((write) => {
        const now = this.#clock.now()
        for (const { id } of write.all('SELECT id FROM lease WHERE expires <= ?', now)) expireLease(write, id as number)
        for (const { seq } of write.all('DELETE FROM delayed WHERE due <= ? RETURNING seq', now))
          makeReady(write, seq as number)
      })
      .then(() => this.refresh())
      // The file is busy or in trouble: whoever calls hears of it; this comes again.
      .catch(() => this.#users > 0 && this.#arm(this.#clock.now() + RETRY_MS))
  }
}

const NEXT = `
SELECT min(at) AS next FROM (SELECT min(expires) AS at FROM lease UNION ALL SELECT min(due) FROM delayed)`
