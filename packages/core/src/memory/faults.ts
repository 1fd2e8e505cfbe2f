// What a test may have go wrong, and when. Each hook is asked once per operation of the transport it was given to, and names the fault
// that happens to it, or nothing. Everything but the named fault goes on as promised, so a seeded simulation needs no more than
// `commit: () => random() < 0.01 ? 'unanswered' : undefined`. Hooks may be set and changed at any time.
import type { InboxMessage, Send } from '../transport'

/** Comes late, by so many milliseconds. */
export interface Late {
  readonly lateMs: number
}

export interface MemoryFaults {
  /** `lost`: not applied; `unanswered`: applied. Either way `TASKS_UNAVAILABLE`. `taken`: another owner claims first, `TASKS_FENCED`. */
  commit?: (commit: {
    readonly partition: number
    readonly claim: string
    readonly seq: number
  }) => 'lost' | 'unanswered' | 'taken' | undefined
  /**
   * A send of its own, or in a settlement, which rejects if any of its sends is not certain.
   * `refused`: not stored, certainly; `lost`: not stored; `unanswered`: stored.
   */
  send?: (send: Send) => 'refused' | 'lost' | 'unanswered' | undefined
  /** How a stored message of a queue or inbox, from a send or a commit, is delivered: twice, or late. Events come twice at the most. */
  deliver?: (send: Send) => 'twice' | Late | undefined
  /** `lost`: nothing applied; `halved`: the sends made, no settlement; `unanswered`: all applied. Either way `TASKS_UNAVAILABLE`. */
  settle?: (settle: {
    readonly settlements: number
    readonly sends: number
  }) => 'lost' | 'halved' | 'unanswered' | undefined
  /** `TASKS_UNAVAILABLE`. `lost`: nothing was handed out; `unanswered`: it was, and its lease has to run out. */
  receive?: (receive: { readonly queues: readonly string[] }) => 'lost' | 'unanswered' | Late | undefined
  /** A poll that found messages: `lost` is `TASKS_UNAVAILABLE`, and the session is over. */
  poll?: (poll: { readonly partition: number; readonly messages: readonly InboxMessage[] }) => 'lost' | Late | undefined
  /** `lost`: `TASKS_UNAVAILABLE`, and nothing done. */
  blob?: (blob: { readonly op: 'put' | 'get'; readonly key: string; readonly page: number }) => 'lost' | undefined
  /** `lost`: `TASKS_UNAVAILABLE`, and the session is over. */
  read?: (read: { readonly partition: number }) => 'lost' | Late | undefined
  /** `failed`: not made; `expired`: made, but every lease of the host has run out first. */
  heartbeat?: (heartbeat: { readonly held: readonly number[] }) => 'failed' | 'expired' | undefined
  /** `failed`: not made; `unanswered`: made, so that the partition is held by nobody until the lease runs out. */
  claim?: (claim: { readonly partition: number }) => 'failed' | 'unanswered' | undefined
  reply?: (send: Send) => 'lost' | 'twice' | Late | undefined
  /** For each subscriber of its own. */
  signal?: () => 'lost' | 'twice' | Late | undefined
}
