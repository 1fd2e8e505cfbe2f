import type { LeaseStore } from '../../src/adapter/leased-partitions'
import type { Clock } from '../../src/clock'
import type { PartitionSession } from '../../src/transport'

export interface TableHost extends LeaseStore {
  readonly calls: string[]
  /** What happens instead of a call: it rejects, or never answers. */
  trouble: (call: 'heartbeat' | 'claim' | 'release' | 'leave') => Error | 'hang' | undefined
}

/** The leases of some partitions, in a table that several hosts share. */
export function leaseTable(options: { partitions: number; leaseMs: number; clock: Clock }) {
  const { clock, leaseMs } = options
  const rows = Array.from({ length: options.partitions }, () => ({
    host: undefined as string | undefined,
    until: 0,
    epoch: 0,
  }))
  const hosts = new Map<string, number>()
  const listeners = new Map<string, Set<() => void>>()
  const tellOthers = (name: string): void => {
    for (const [other, set] of listeners) if (other !== name) for (const listener of set) listener()
  }
  const host = (name: string): TableHost => {
    const call = async <T>(kind: 'heartbeat' | 'claim' | 'release' | 'leave', fn: () => T): Promise<T> => {
      const trouble = store.trouble(kind)
      if (trouble === 'hang') return new Promise<T>(() => {})
      if (trouble !== undefined) throw trouble
      return fn()
    }
    const store: TableHost = {
      partitions: options.partitions,
      calls: [],
      trouble: () => undefined,
      heartbeat: (held) =>
        call('heartbeat', () => {
          store.calls.push('heartbeat')
          const now = clock.now()
          const joined = !hosts.has(name)
          hosts.set(name, now + leaseMs)
          for (const [other, until] of hosts) if (until <= now) hosts.delete(other)
          if (joined) tellOthers(name)
          const lost = held.filter((p) => rows[p]!.host !== name)
          for (const p of held) if (rows[p]!.host === name) rows[p]!.until = now + leaseMs
          const free = rows.flatMap((row, p) => (row.host === undefined || row.until <= now ? [p] : []))
          return { hosts: hosts.size, lost, free }
        }),
      claim: (partition, lost) =>
        call('claim', () => {
          store.calls.push(`claim ${partition}`)
          const row = rows[partition]!
          if (row.host !== undefined && row.until > clock.now()) return undefined
          row.host = name
          row.until = clock.now() + leaseMs
          row.epoch++
          return session(partition, row.epoch, lost)
        }),
      release: (session) =>
        call('release', () => {
          store.calls.push(`release ${session.partition}`)
          const row = rows[session.partition]!
          if (row.epoch !== session.epoch) return
          row.host = undefined
          tellOthers(name)
        }),
      leave: () =>
        call('leave', () => {
          store.calls.push('leave')
          hosts.delete(name)
          tellOthers(name)
        }),
      onFree(listener) {
        const set = listeners.get(name) ?? new Set()
        listeners.set(name, set.add(listener))
        return () => set.delete(listener)
      },
    }
    return store
  }
  return {
    host,
    owners: (): (string | undefined)[] => rows.map((row) => (row.until > clock.now() ? row.host : undefined)),
    /** Somebody from elsewhere takes it, whatever the lease says. */
    steal(partition: number): void {
      rows[partition] = { host: 'elsewhere', until: Infinity, epoch: rows[partition]!.epoch + 1 }
    },
  }
}

function session(partition: number, epoch: number, lost: AbortSignal): PartitionSession {
  const unused = (): never => {
    throw new Error('not part of this test')
  }
  return {
    partition,
    epoch,
    claim: `${epoch}-x`,
    seq: 0,
    time: 0,
    lost,
    load: unused,
    scan: unused,
    poll: unused,
    commit: unused,
  }
}
