import { describe, expect, test } from 'vitest'
import { leasedPartitions } from '../../src/adapter/leased-partitions'
import { TaskError } from '../../src/errors'
import type { PartitionSession } from '../../src/transport'
import { leaseTable } from '../support/lease-table'
import { virtualClock } from '../../src/testing/virtual-clock'

const leaseMs = 3000

function setup(partitions = 8, seed?: number) {
  const clock = virtualClock(seed === undefined ? {} : { seed })
  const table = leaseTable({ partitions, leaseMs, clock })
  /** A host whose handlers end once `lost` fires, or when told to. */
  const start = (name: string, handler?: (session: PartitionSession) => Promise<void>) => {
    const store = table.host(name)
    const stopping = new AbortController()
    const running = new Map<number, PartitionSession>()
    const reasons = new Map<number, string>()
    const doubled: number[] = []
    const onOwned = async (session: PartitionSession): Promise<void> => {
      if (running.has(session.partition)) doubled.push(session.partition)
      running.set(session.partition, session)
      session.lost.addEventListener('abort', () =>
        reasons.set(session.partition, (session.lost.reason as TaskError).code),
      )
      try {
        await (handler ?? untilLost)(session)
      } finally {
        running.delete(session.partition)
      }
    }
    const host = leasedPartitions(store, { leaseMs, clock })
    const ended = host.run(onOwned, stopping.signal)
    ended.catch(() => {})
    const owns = (): number[] => [...running.keys()].sort((a, b) => a - b)
    return {
      host,
      store,
      ended,
      running,
      reasons,
      doubled,
      owns,
      stop: () => stopping.abort(),
      signal: stopping.signal,
    }
  }
  return { clock, table, start }
}

function untilLost(session: PartitionSession): Promise<void> {
  return new Promise((resolve) => {
    if (session.lost.aborted) resolve()
    else session.lost.addEventListener('abort', () => resolve(), { once: true })
  })
}

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

describe('leased partitions', () => {
  test('a host that is alone claims everything at once, without waiting for time to pass', async () => {
    const { clock, start } = setup()
    const a = start('a')
    await clock.settle()
    expect(a.owns()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(a.store.calls[0]).toBe('heartbeat')
  })

  test('heartbeats are a third of the lease apart', async () => {
    const { clock, start } = setup()
    const a = start('a')
    await clock.advance(leaseMs * 2)
    expect(a.store.calls.filter((call) => call === 'heartbeat')).toHaveLength(7)
    expect(a.reasons.size).toBe(0)
  })

  test('a host that joins gets its share once the handlers of the other have ended', async () => {
    const { clock, start } = setup()
    const slow = gate()
    const a = start('a', async (session) => {
      await untilLost(session)
      await slow.opened
    })
    await clock.settle()
    const b = start('b')
    await clock.advance(leaseMs / 2)
    expect([...a.reasons.values()]).toEqual(Array(4).fill('TASKS_CLOSED'))
    expect(a.owns()).toHaveLength(8)
    expect(b.owns()).toEqual([])
    slow.open()
    await clock.settle()
    await clock.advance(0)
    expect(a.owns()).toHaveLength(4)
    expect(b.owns()).toHaveLength(4)
    expect([...a.owns(), ...b.owns()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('no host takes more than its share of what is free', async () => {
    const { clock, start } = setup(16)
    const hosts = ['a', 'b', 'c'].map((name) => start(name))
    await clock.advance(leaseMs * 2)
    expect(hosts.map((host) => host.owns().length).sort()).toEqual([4, 6, 6])
  })

  test('a partition that somebody else took is lost as fenced, and its session ends', async () => {
    const { clock, table, start } = setup()
    const a = start('a')
    await clock.settle()
    table.steal(3)
    await clock.advance(leaseMs / 3)
    expect(a.reasons).toEqual(new Map([[3, 'TASKS_FENCED']]))
    expect(a.owns()).toEqual([0, 1, 2, 4, 5, 6, 7])
  })

  test('heartbeats that fail for less than the lease lose nothing', async () => {
    const { clock, start } = setup()
    const a = start('a')
    await clock.settle()
    a.store.trouble = (call) => (call === 'heartbeat' ? new Error('down') : undefined)
    await clock.advance(leaseMs - 500)
    expect(a.reasons.size).toBe(0)
    a.store.trouble = () => undefined
    await clock.advance(leaseMs)
    expect(a.reasons.size).toBe(0)
    expect(a.owns()).toHaveLength(8)
  })

  test.each(['failing', 'hanging'] as const)(
    '%s heartbeats lose every session after a lease, and all comes back with the store',
    async (kind) => {
      const { clock, start } = setup()
      const a = start('a')
      await clock.advance(leaseMs)
      a.store.trouble = (call) => (call !== 'heartbeat' ? undefined : kind === 'hanging' ? 'hang' : new Error('down'))
      await clock.advance(leaseMs)
      expect([...a.reasons.values()]).toEqual(Array(8).fill('TASKS_UNAVAILABLE'))
      expect(a.owns()).toEqual([])
      a.store.trouble = () => undefined
      await clock.advance(leaseMs * 2)
      expect(a.owns()).toHaveLength(8)
    },
  )

  test('the store is not hammered while it is down', async () => {
    const { clock, start } = setup()
    const a = start('a')
    let tries = 0
    a.store.trouble = (call) => {
      if (call === 'heartbeat') tries++
      return new Error('down')
    }
    await clock.advance(leaseMs * 10)
    expect(tries).toBeGreaterThan(50)
    expect(tries).toBeLessThan(200)
  })

  test('when it stops, each partition is released as soon as its own handler has ended, then the host leaves', async () => {
    const { clock, start } = setup(2)
    const slow = gate()
    const a = start('a', async (session) => {
      await untilLost(session)
      if (session.partition === 1) await slow.opened
    })
    await clock.settle()
    a.stop()
    await clock.settle()
    expect(a.store.calls.filter((call) => call.startsWith('release'))).toEqual(['release 0'])
    slow.open()
    await a.ended
    expect(a.store.calls.slice(-2)).toEqual(['release 1', 'leave'])
  })

  test('stopping hands everything to another host without waiting for time to pass', async () => {
    const { clock, start } = setup()
    const a = start('a')
    const b = start('b')
    await clock.advance(leaseMs)
    a.stop()
    await a.ended
    await clock.advance(1)
    expect(b.owns()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('one slow handler of a stopping host keeps the others from its partition only', async () => {
    const { clock, start } = setup(2)
    const never = gate()
    const a = start('a', async (session) => {
      await untilLost(session)
      if (session.partition === 1) await never.opened
    })
    await clock.settle()
    a.stop()
    const b = start('b')
    await clock.advance(leaseMs / 3 + 1)
    expect(b.owns()).toEqual([0])
    await clock.advance(leaseMs)
    expect(b.owns()).toEqual([0, 1])
  })

  test('a stuck handler of a lost partition is never joined by a second one', async () => {
    const { clock, start } = setup(2)
    const stuck = gate()
    let calls = 0
    const a = start('a', async (session) => {
      calls++
      if (session.partition === 0) await stuck.opened
      await untilLost(session)
    })
    await clock.settle()
    a.store.trouble = (call) => (call === 'heartbeat' ? new Error('down') : undefined)
    await clock.advance(leaseMs)
    a.store.trouble = () => undefined
    await clock.advance(leaseMs * 4)
    expect(a.doubled).toEqual([])
    expect(calls).toBe(3)
    stuck.open()
    await clock.advance(leaseMs)
    expect(a.owns()).toContain(0)
  })

  test('a partition whose handler ended is claimed again at once, and later each time it happens again', async () => {
    const { clock, start } = setup(1)
    const starts: number[] = []
    start('a', async () => {
      starts.push(clock.now())
      throw new Error('broken')
    })
    await clock.settle()
    await clock.advance(0)
    expect(starts).toHaveLength(2)
    await clock.advance(leaseMs * 4)
    const gaps = starts.slice(1).map((at, i) => at - starts[i]!)
    expect(Math.max(...gaps)).toBeGreaterThan(leaseMs / 8)
    expect(starts.length).toBeLessThan(40)
  })

  test('a claim that fails is tried again', async () => {
    const { clock, start } = setup(4)
    const a = start('a')
    let failures = 3
    a.store.trouble = (call) => (call === 'claim' && failures-- > 0 ? new Error('down') : undefined)
    await clock.advance(leaseMs)
    expect(a.owns()).toEqual([0, 1, 2, 3])
  })

  test('a host to which others were quicker takes what else is free, without waiting for time to pass', async () => {
    const { clock, table, start } = setup(4)
    await table.host('idle').heartbeat([])
    const a = start('a')
    const { claim } = a.store
    let quicker = 2
    a.store.claim = (partition, lost, alive) => {
      if (quicker-- > 0) table.steal(partition)
      return claim(partition, lost, alive)
    }
    await clock.settle()
    expect(a.owns()).toHaveLength(2)
  })

  test('a claim that hangs holds up neither the others nor the heartbeat', async () => {
    const { clock, start } = setup(4)
    const a = start('a')
    let first = true
    a.store.trouble = (call) => {
      if (call !== 'claim' || !first) return undefined
      first = false
      return 'hang'
    }
    await clock.settle()
    expect(a.owns()).toHaveLength(3)
    await clock.advance(leaseMs * 2)
    expect(a.owns()).toHaveLength(4)
    expect(a.reasons.size).toBe(0)
  })

  describe('a claim that has much to read', () => {
    /** Its store reads in steps of half a lease, and renews what it claims itself. */
    function reading(steps: number) {
      const { clock, table } = setup(1)
      const store = table.host('a')
      const { claim } = store
      const seen = { claims: 0, given: new AbortController().signal }
      store.claim = async (partition, lost, alive) => {
        seen.claims++
        seen.given = lost
        for (let step = 0; step < steps && !lost.aborted; step++) {
          await new Promise<void>((resolve) => clock.after(leaseMs / 2, resolve))
          alive()
        }
        return lost.aborted ? undefined : claim(partition, lost, alive)
      }
      const stopping = new AbortController()
      const owned: number[] = []
      const ended = leasedPartitions(store, { leaseMs, clock }).run(async (session) => {
        owned.push(session.partition)
        await untilLost(session)
      }, stopping.signal)
      return { clock, store, seen, owned, ended, stop: () => stopping.abort() }
    }

    test('may take as long as it comes further', async () => {
      const { clock, seen, owned } = reading(10)
      await clock.advance(leaseMs * 6)
      expect({ ...seen, given: seen.given.aborted, owned }).toEqual({ claims: 1, given: false, owned: [0] })
    })

    test('ends at once when the host stops', async () => {
      const { clock, seen, owned, ended, stop } = reading(10)
      await clock.advance(leaseMs * 2)
      stop()
      expect((seen.given.reason as TaskError).code).toBe('TASKS_CLOSED')
      await clock.advance(leaseMs / 2)
      await ended
      expect(owned).toEqual([])
    })

    test('is told that nobody waits for it once a lease has passed without a heartbeat', async () => {
      const { clock, store, seen } = reading(10)
      await clock.advance(leaseMs / 4)
      store.trouble = (call) => (call === 'heartbeat' ? 'hang' : undefined)
      await clock.advance(leaseMs * 1.5)
      expect((seen.given.reason as TaskError).code).toBe('TASKS_UNAVAILABLE')
    })

    test('is told so as well when it is silent itself', async () => {
      const { clock, store, seen } = reading(0)
      store.claim = (_, lost) => {
        seen.claims++
        if (seen.claims === 1) seen.given = lost
        return new Promise(() => {})
      }
      await clock.advance(leaseMs * 1.5)
      expect((seen.given.reason as TaskError).code).toBe('TASKS_UNAVAILABLE')
      expect(seen.claims).toBeGreaterThan(1)
    })
  })

  test('a claim that succeeds after the end is given back', async () => {
    const { clock, table, start } = setup(1)
    const answered = gate()
    const store = table.host('a')
    const claim = store.claim
    store.claim = async (partition, lost, alive) => {
      const session = await claim(partition, lost, alive)
      await answered.opened
      return session
    }
    const stopping = new AbortController()
    let called = 0
    const ended = leasedPartitions(store, { leaseMs, clock }).run(async () => void called++, stopping.signal)
    await clock.settle()
    stopping.abort()
    answered.open()
    await ended
    expect(called).toBe(0)
    expect(table.owners()).toEqual([undefined])
    expect(start('b').store.partitions).toBe(1)
  })

  test('a release that fails is tried again, and the end does not hang on one that never answers', async () => {
    const { clock, table, start } = setup(2)
    const a = start('a')
    await clock.settle()
    const failed = new Set<string>()
    let count = 0
    a.store.trouble = (call) => {
      if (call !== 'release') return undefined
      count++
      if (count === 1) return 'hang'
      if (failed.has('once')) return undefined
      failed.add('once')
      return new Error('down')
    }
    a.stop()
    await clock.advance(leaseMs + 1)
    await a.ended
    expect(table.owners()).toEqual([undefined, undefined])
  })

  test('a store that was closed ends it, with that error, once the handlers have ended', async () => {
    const { clock, start } = setup(2)
    const slow = gate()
    const a = start('a', async (session) => {
      await untilLost(session)
      await slow.opened
    })
    await clock.settle()
    a.store.trouble = () => new TaskError('TASKS_CLOSED', 'closed')
    await clock.advance(leaseMs / 3)
    expect([...a.reasons.values()]).toEqual(['TASKS_CLOSED', 'TASKS_CLOSED'])
    expect(a.owns()).toHaveLength(2)
    slow.open()
    await expect(a.ended).rejects.toMatchObject({ code: 'TASKS_CLOSED' })
  })

  test('a host runs once at a time', async () => {
    const { clock, start } = setup(1)
    const a = start('a')
    await clock.settle()
    await expect(a.host.run(untilLost, a.signal)).rejects.toMatchObject({ code: 'TASKS_ARGUMENTS' })
  })

  test('a signal that was aborted before starts nothing', async () => {
    const { clock, table } = setup(1)
    const store = table.host('a')
    await leasedPartitions(store, { leaseMs, clock }).run(untilLost, AbortSignal.abort())
    expect(store.calls).toEqual([])
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'after random trouble everything is owned once, in fair shares (seed %i)',
    async (seed) => {
      const { clock, table, start } = setup(12, seed)
      const hosts = [start('a'), start('b')]
      let calm = false
      for (const host of hosts) {
        host.store.trouble = () => {
          const luck = clock.random()
          return calm || luck > 0.3 ? undefined : luck < 0.05 ? 'hang' : new Error('down')
        }
      }
      for (let i = 0; i < 30; i++) {
        if (clock.random() < 0.2) table.steal(Math.floor(clock.random() * 12))
        if (i === 10) hosts.push(start('c'))
        if (i === 20) hosts[0]!.stop()
        await clock.advance(Math.floor(clock.random() * leaseMs))
        for (const host of hosts) expect(host.doubled).toEqual([])
      }
      calm = true
      await clock.advance(leaseMs * 4)
      const [, b, c] = hosts
      const owners = table.owners()
      expect(owners).not.toContain(undefined)
      expect(owners).not.toContain('a')
      expect(b!.owns()).toEqual(owners.flatMap((owner, p) => (owner === 'b' ? [p] : [])))
      expect(c!.owns()).toEqual(owners.flatMap((owner, p) => (owner === 'c' ? [p] : [])))
      for (const host of [b!, c!]) expect(host.owns().length).toBeLessThanOrEqual(6)
    },
  )
})
