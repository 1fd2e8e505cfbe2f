// The processes that have the file open. One that has died is buried by whoever sees it first: its leases come back and its
// partitions are free at once, instead of when they run out.
import type { Clock, ProcessIdentity } from '@tasks/core/adapter'
import { isGone } from '@tasks/core/adapter'
import type { Group, Write } from './group-commit'
import { expireLease } from './returns'

const SEEN_EVERY_MS = 10_000
// Of another container that shares the folder only silence can tell.
const SILENT_MS = 60_000

interface Neighbour extends ProcessIdentity {
  readonly id: number
  readonly seen: number
}

export class Neighbours {
  readonly #group: Group
  readonly #clock: Clock
  readonly #me: ProcessIdentity
  readonly id: number
  #seenAt: number

  /** Registers this process under a number of its own. */
  static async join(group: Group, clock: Clock, me: ProcessIdentity): Promise<Neighbours> {
    const now = clock.now()
    const id = await group.note((write) => {
      const id = write.draw(1)
      register(write, id, me, now)
      return id
    })
    return new Neighbours(group, clock, me, id, now)
  }

  private constructor(group: Group, clock: Clock, me: ProcessIdentity, id: number, now: number) {
    this.#group = group
    this.#clock = clock
    this.#me = me
    this.id = id
    this.#seenAt = now
  }

  /** Buries the dead, and says from time to time that this process lives. Called every now and then. */
  check(): void {
    const now = this.#clock.now()
    const others = this.#group.all('SELECT * FROM process WHERE id <> ?', this.id) as unknown as Neighbour[]
    const dead = others.filter((other) => this.#isDead(other, now))
    const due = now - this.#seenAt >= SEEN_EVERY_MS
    if (dead.length === 0 && !due) return
    if (due) this.#seenAt = now
    const noted = this.#group.note((write) => {
      for (const { id } of dead) bury(write, id)
      if (!due) return
      if (write.run('UPDATE process SET seen = ? WHERE id = ?', now, this.id) === 0)
        register(write, this.id, this.#me, now)
      write.run('DELETE FROM host WHERE expires < ?', now - SILENT_MS)
    })
    // What failed is tried again.
    noted.catch(() => {})
  }

  #isDead(other: Neighbour, now: number): boolean {
    const { machine, boot, pid } = this.#me
    // Whoever had it open before this machine started is gone, whatever the clock has done since. Some containers have a boot of their own: they have another name.
    const isEarlier = boot !== '' && other.boot !== '' && other.boot !== boot
    if (isEarlier && other.machine.replace(other.boot, boot) === machine) return true
    const isSilent = other.seen < now - SILENT_MS
    if (other.machine !== machine) return isSilent
    return isGone(other) || (other.pid === pid && isSilent)
  }

  /** Says goodbye: partitions are free at once; leases are not, since their tasks may still be running. */
  leave(write: Write): void {
    disown(write, this.id)
  }
}

function register(write: Write, id: number, { machine, boot, pid, started }: ProcessIdentity, now: number): void {
  write.run('INSERT INTO process VALUES (?, ?, ?, ?, ?, ?)', id, machine, boot, pid, started, now)
}

function bury(write: Write, process: number): void {
  if (!write.get('SELECT 1 FROM process WHERE id = ?', process)) return
  for (const { id } of write.all('SELECT id FROM lease WHERE process = ?', process)) expireLease(write, id as number)
  disown(write, process)
}

function disown(write: Write, process: number): void {
  for (const { namespace } of write.all('SELECT DISTINCT namespace FROM host WHERE process = ?', process)) {
    write.changed.owners.add(namespace as number)
  }
  write.run('UPDATE partition SET owner = NULL WHERE owner IN (SELECT id FROM host WHERE process = ?)', process)
  write.run('DELETE FROM host WHERE process = ?', process)
  write.run('DELETE FROM reply WHERE process = ?', process)
  write.run('DELETE FROM process WHERE id = ?', process)
}
