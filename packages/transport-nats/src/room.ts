// A server without room: what gives some back comes after a record, so the record must not wait for it.
import { isFull } from './failure'
import type { InboxParts } from './inbox'
import { removeConsumed } from './inbox'
import type { Journal } from './journal'
import type { State } from './record'

/** Tries it; and if the server has no room, once more without what the partition's last record has done with: mostly it is removed seldom, and much at a time. */
export async function withRoom<T>(
  parts: Pick<InboxParts, 'jetstream' | 'names'>,
  journal: Journal,
  last: State | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  try {
    return await attempt()
  } catch (error) {
    if (last === undefined || !isFull(error)) throw error
    // What cannot be removed changes nothing of what was refused.
    await Promise.allSettled([removeConsumed(parts, journal.partition, last.through), journal.purge(last)])
    return attempt()
  }
}
