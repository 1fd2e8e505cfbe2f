// Replies and signals. Both are best effort: those for this process stay in memory, and go out after the commit they belong to;
// those for others pass through tables, and are removed by their reader or soon after.
import type { Bytes } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { BYTES } from './driver'
import type { Group, Write } from './group-commit'

const KEPT_MS = 60_000
/** Read at once. */
const PAGE = 100

export class Mail {
  readonly #group: Group
  readonly #clock: Clock
  readonly #process: number
  readonly #mailboxes = new Map<string, (body: Bytes) => void>()
  readonly #listeners = new Map<number, Set<(body: Bytes) => void>>()
  #lastSignal: number
  #collecting = false

  constructor(group: Group, clock: Clock, process: number) {
    this.#group = group
    this.#clock = clock
    this.#process = process
    this.#lastSignal = group.get('SELECT value FROM counter')!['value'] as number
  }

  /** An address says which process reads it. */
  open(onReply: (body: Bytes) => void): { readonly address: string; close(): void } {
    const address = `${this.#process}.${this.#clock.uid()}`
    this.#mailboxes.set(address, onReply)
    return { address, close: () => void this.#mailboxes.delete(address) }
  }

  /** `seq` is the reply's own, drawn by the caller. */
  reply(write: Write, seq: number, address: string, body: Bytes): void {
    const process = Number(address.slice(0, address.indexOf('.')))
    if (process === this.#process) return write.after(() => this.#deliver(address, body))
    if (!Number.isSafeInteger(process) || !write.get('SELECT 1 FROM process WHERE id = ?', process)) return
    const now = this.#clock.now()
    // Of a process that reads no more: two go for each that comes.
    write.run(DROP_OLD, process, now - KEPT_MS)
    write.run(`INSERT INTO reply VALUES (?, ?, ?, ?, ${BYTES})`, process, seq, now, address, body)
    write.changed.mail = true
  }

  listen(namespace: number, handler: (body: Bytes) => void): () => void {
    const own = (body: Bytes): void => handler(body)
    const listeners = this.#listeners.get(namespace) ?? new Set()
    this.#listeners.set(namespace, listeners.add(own))
    return () => void listeners.delete(own)
  }

  signal(write: Write, namespace: number, body: Bytes): void {
    write.after(() => this.#announce(namespace, body))
    if (!write.get('SELECT 1 FROM process WHERE id <> ? LIMIT 1', this.#process)) return
    const now = this.#clock.now()
    write.run('DELETE FROM signal WHERE at < ?', now - KEPT_MS)
    write.run(`INSERT INTO signal VALUES (?, ?, ?, ?, ${BYTES})`, write.draw(1), namespace, this.#process, now, body)
    write.changed.mail = true
  }

  /** Reads what other processes have left. */
  look(): void {
    for (const { seq, namespace, sender, body } of this.#group.all(
      'SELECT * FROM signal WHERE seq > ? ORDER BY seq',
      this.#lastSignal,
    )) {
      this.#lastSignal = seq as number
      if (sender !== this.#process) this.#announce(namespace as number, body as Bytes)
    }
    if (this.#collecting || !this.#group.get('SELECT 1 FROM reply WHERE process = ? LIMIT 1', this.#process)) return
    this.#collecting = true
    this.#group
      .note((write) => write.all(TAKE, this.#process))
      .then(
        (replies) => {
          this.#collecting = false
          for (const { address, body } of replies) this.#deliver(address as string, body as Bytes)
          if (replies.length === PAGE) this.#clock.soon(() => this.#lookAgain())
        },
        () => (this.#collecting = false),
      )
  }

  #lookAgain(): void {
    try {
      this.look()
    } catch {
      // A file in trouble, or closed: reported by the calls that need it.
    }
  }

  // Handlers run in a microtask of their own: one that throws is the caller's bug, and not to be ours.
  #deliver(address: string, body: Bytes): void {
    const handler = this.#mailboxes.get(address)
    if (handler) queueMicrotask(() => this.#mailboxes.get(address) === handler && handler(body))
  }

  #announce(namespace: number, body: Bytes): void {
    const listeners = this.#listeners.get(namespace)
    for (const handler of listeners ?? []) queueMicrotask(() => listeners!.has(handler) && handler(body))
  }
}

const DROP_OLD = `
DELETE FROM reply WHERE process = ?1 AND at < ?2
  AND seq IN (SELECT seq FROM reply WHERE process = ?1 ORDER BY seq LIMIT 2)`

const TAKE = `
DELETE FROM reply WHERE process = ?1 AND seq IN (SELECT seq FROM reply WHERE process = ?1 ORDER BY seq LIMIT ${PAGE})
RETURNING address, body`
