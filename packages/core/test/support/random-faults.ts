// Everything that may go wrong with a connection to the memory transport, now and then.
import type { MemoryFaults } from '../../src/memory'

const MOST_LATE_MS = 1_500

/**
 * @param rate of 0 to 1: how often each operation meets a fault of its own
 * @param enough asked before each: nothing more goes wrong once it says so
 */
export function randomFaults(random: () => number, rate: number, enough: () => boolean): Required<MemoryFaults> {
  const draw = <const Faults extends readonly unknown[]>(...faults: Faults): Faults[number] | undefined =>
    enough() || random() >= rate ? undefined : faults[Math.floor(random() * faults.length)]
  const late = (): { readonly lateMs: number } => ({ lateMs: Math.floor(random() * MOST_LATE_MS) })
  return {
    commit: () => draw('lost', 'unanswered', 'taken'),
    send: () => draw('refused', 'lost', 'unanswered'),
    deliver: () => draw('twice', late()),
    settle: () => draw('lost', 'halved', 'unanswered'),
    receive: () => draw('lost', 'unanswered', late()),
    poll: () => draw('lost', late()),
    blob: () => draw('lost'),
    read: () => draw('lost', late()),
    heartbeat: () => draw('failed', 'expired'),
    claim: () => draw('failed', 'unanswered'),
    reply: () => draw('lost', 'twice', late()),
    signal: () => draw('lost', 'twice', late()),
  }
}
