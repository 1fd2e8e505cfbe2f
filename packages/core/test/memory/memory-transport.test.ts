import { describe, expect, test } from 'vitest'
import type { MemoryFaults, MemoryTransportOptions } from '../../src/memory/index'
import { memoryStore, memoryTransport } from '../../src/memory/index'
import type { Commit, PartitionSession, Send, Space } from '../../src/transport'
import { virtualClock } from '../../src/testing/virtual-clock'

const leaseMs = 3000

async function setup(options: MemoryTransportOptions = {}) {
  const clock = virtualClock({ start: 1_000_000 })
  const store = memoryStore({ clock })
  const faults: MemoryFaults = {}
  const connect = (more: MemoryTransportOptions = {}) => memoryTransport({ store, ...options, ...more })
  const transport = connect({ faults })
  const space = await transport.open({ namespace: 'test', partitions: 2 })
  return { clock, store, faults, connect, transport, space }
}

/** Owns partitions; handlers end with `lost`. */
function own(space: Space) {
  const stopping = new AbortController()
  const sessions: PartitionSession[] = []
  const ended = space.own({ leaseMs }).run(async (session) => {
    sessions.push(session)
    await new Promise<void>((resolve) => session.lost.addEventListener('abort', () => resolve(), { once: true }))
  }, stopping.signal)
  ended.catch(() => {})
  const current = (partition: number): PartitionSession =>
    sessions.filter((session) => session.partition === partition).at(-1)!
  return { sessions, current, ended, stop: () => stopping.abort() }
}

function task(id: string): Send {
  return { target: { to: 'task', queue: 'q' }, id, body: new TextEncoder().encode(id) }
}

function inbox(id: string): Send {
  return { target: { to: 'inbox', partition: 0 }, id, body: new TextEncoder().encode(id) }
}

function commitOf(seq: number, sends: readonly Send[] = []): Commit {
  return { seq, time: 1, rows: new Map([['e/a', new Uint8Array([seq])]]), sends }
}

const receive = { max: 10, waitMs: 0, suspects: true }

describe('time', () => {
  test('is the clock of the store, for leases, waits and letters', async () => {
    const { clock, space } = await setup()
    await space.send([task('a')])
    const consumer = space.consume({ queues: ['q'], leaseMs })
    await consumer.receive(receive)
    await clock.advance(leaseMs - 1)
    expect(await consumer.receive(receive)).toEqual([])
    await clock.advance(1)
    expect((await consumer.receive(receive)).map(({ deliveries }) => deliveries)).toEqual([2])
    expect(await space.now()).toBe(clock.now())
  })

  test('wakes a receive that waits when a lease runs out or a returned task is due', async () => {
    const { clock, space } = await setup()
    await space.send([task('a'), task('b')])
    const consumer = space.consume({ queues: ['q'], leaseMs })
    const [a, b] = await consumer.receive(receive)
    await consumer.settle([{ lease: a!, op: 'return', delayMs: 500 }], [])
    const seen: string[] = []
    for (let i = 0; i < 2; i++) {
      const waiting = consumer
        .receive({ ...receive, waitMs: 60_000 })
        .then((batch) => seen.push(...batch.map(({ id }) => `${id} ${clock.now()}`)))
      await clock.advance(leaseMs)
      await waiting
    }
    expect(seen).toEqual([`${a!.id} 1000500`, `${b!.id} 1003000`])
  })

  test('of an extended lease counts from the extension', async () => {
    const { clock, space } = await setup()
    await space.send([task('a'), task('b')])
    const consumer = space.consume({ queues: ['q'], leaseMs })
    const [a] = await consumer.receive(receive)
    await clock.advance(leaseMs / 2)
    await consumer.extend([a!])
    await clock.advance(leaseMs / 2)
    expect((await consumer.receive(receive)).map(({ id }) => id)).toEqual(['b'])
    await clock.advance(leaseMs / 2)
    expect((await consumer.receive(receive)).map(({ id }) => id)).toEqual(['a'])
  })

  test('a lease that ran out and that nobody took is still good', async () => {
    const { clock, space } = await setup()
    await space.send([task('acked'), task('extended')])
    const consumer = space.consume({ queues: ['q'], leaseMs })
    const [acked, extended] = await consumer.receive(receive)
    await clock.advance(leaseMs * 2)
    expect(await consumer.receive({ ...receive, suspects: false })).toEqual([])
    await consumer.settle([{ lease: acked!, op: 'ack' }], [])
    await consumer.extend([extended!])
    expect(await consumer.receive(receive)).toEqual([])
  })
})

describe('a crash', () => {
  test('rejects what is under way, gives nothing back, and leaves the store as it was', async () => {
    const { clock, connect, transport, space } = await setup()
    const owner = own(space)
    await clock.settle()
    await owner.current(0).commit(commitOf(1))
    await space.send([task('a')])
    const consumer = space.consume({ queues: ['q'], leaseMs })
    await consumer.receive(receive)
    const waits = [consumer.receive({ ...receive, waitMs: 60_000 }), owner.current(0).poll({ max: 1, waitMs: 60_000 })]
    const outcomes = Promise.allSettled(waits)
    transport.crash()
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'TASKS_CLOSED' } })
    await expect(owner.ended).rejects.toMatchObject({ code: 'TASKS_CLOSED' })

    const other = await connect().open({ namespace: 'test' })
    const successor = own(other)
    await clock.advance(leaseMs / 2)
    expect(successor.sessions).toEqual([])
    expect(await other.consume({ queues: ['q'], leaseMs }).receive(receive)).toEqual([])
    await clock.advance(leaseMs / 2 + 1)
    expect(successor.sessions).toHaveLength(2)
    expect(successor.current(0).seq).toBe(1)
    expect((await other.consume({ queues: ['q'], leaseMs }).receive(receive)).map(({ id }) => id)).toEqual(['a'])
  })
})

describe('faults', () => {
  test('a commit is lost: not applied, and the session is over', async () => {
    const { clock, faults, space } = await setup()
    const owner = own(space)
    await clock.settle()
    faults.commit = () => 'lost'
    await expect(owner.current(0).commit(commitOf(1))).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    delete faults.commit
    await expect(owner.current(0).commit(commitOf(1))).rejects.toMatchObject({ code: 'TASKS_FENCED' })
    expect(await space.reader!.load(0, ['e/a'])).toEqual([undefined])
  })

  test('a commit is unanswered: applied, and the session is over', async () => {
    const { clock, faults, space } = await setup()
    const owner = own(space)
    await clock.settle()
    faults.commit = ({ seq }) => (seq === 2 ? 'unanswered' : undefined)
    await owner.current(0).commit(commitOf(1))
    await expect(owner.current(0).commit(commitOf(2, [task('a')]))).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    expect(await space.reader!.load(0, ['e/a'])).toEqual([new Uint8Array([2])])
    expect(await space.consume({ queues: ['q'], leaseMs }).receive(receive)).toHaveLength(1)
  })

  test('a partition is taken in the middle of a commit', async () => {
    const { clock, faults, space } = await setup()
    const owner = own(space)
    await clock.settle()
    const { epoch } = owner.current(0)
    faults.commit = () => 'taken'
    await expect(owner.current(0).commit(commitOf(1))).rejects.toMatchObject({ code: 'TASKS_FENCED' })
    await clock.advance(leaseMs)
    expect(owner.sessions.filter(({ partition }) => partition === 0)).toHaveLength(2)
    expect(owner.current(0).epoch).toBeGreaterThan(epoch + 1)
  })

  test('sends are refused, lost or unanswered, and say so', async () => {
    const { faults, space } = await setup()
    const fates = { a: 'refused', b: 'lost', c: 'unanswered' } as const
    faults.send = ({ id }) => fates[id as keyof typeof fates]
    const outcomes = await space.send([task('a'), task('b'), task('c'), task('d')])
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.certain))).toEqual([true, false, false, 'ok'])
    const batch = await space.consume({ queues: ['q'], leaseMs }).receive(receive)
    expect(batch.map(({ id }) => id)).toEqual(['c', 'd'])
  })

  test('messages come twice, or late', async () => {
    const { clock, faults, space } = await setup()
    const owner = own(space)
    await clock.settle()
    faults.deliver = ({ id }) => (id === 'twice' ? 'twice' : id === 'late' ? { lateMs: 1000 } : undefined)
    await space.send([task('twice'), task('late'), inbox('late'), inbox('twice')])
    const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
    expect((await consumer.receive(receive)).map(({ id }) => id)).toEqual(['twice', 'twice'])
    const session = owner.current(0)
    expect((await session.poll({ max: 10, waitMs: 0 })).map(({ id }) => id)).toEqual(['twice', 'twice'])
    await clock.advance(1000)
    expect((await consumer.receive(receive)).map(({ id }) => id)).toEqual(['late'])
    expect((await session.poll({ max: 10, waitMs: 0 })).map(({ id }) => id)).toEqual(['late'])
  })

  test('a settlement is lost, halved or unanswered', async () => {
    for (const [fault, tasksLeft, results] of [
      ['lost', 1, 0],
      ['halved', 1, 1],
      ['unanswered', 0, 1],
    ] as const) {
      const { clock, faults, space } = await setup()
      await space.send([task('a')])
      const consumer = space.consume({ queues: ['q'], leaseMs })
      const [lease] = await consumer.receive(receive)
      faults.settle = () => fault
      const result: Send = { ...task('r'), target: { to: 'task', queue: 'results' } }
      await expect(consumer.settle([{ lease: lease!, op: 'ack' }], [result])).rejects.toMatchObject({
        code: 'TASKS_UNAVAILABLE',
      })
      await clock.advance(leaseMs)
      expect(await consumer.receive(receive)).toHaveLength(tasksLeft)
      expect(await space.consume({ queues: ['results'], leaseMs }).receive(receive)).toHaveLength(results)
    }
  })

  test('a receive is lost, unanswered or late', async () => {
    const { clock, faults, space } = await setup()
    await space.send([task('a')])
    const consumer = space.consume({ queues: ['q'], leaseMs })
    faults.receive = () => 'lost'
    await expect(consumer.receive(receive)).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    faults.receive = () => 'unanswered'
    await expect(consumer.receive(receive)).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    faults.receive = () => ({ lateMs: 100 })
    const late = consumer.receive(receive)
    await clock.advance(100)
    expect(await late).toEqual([])
    delete faults.receive
    await clock.advance(leaseMs)
    expect((await consumer.receive(receive)).map(({ deliveries }) => deliveries)).toEqual([2])
  })

  test('polls and reads are lost or late', async () => {
    const { clock, faults, space } = await setup()
    const owner = own(space)
    await clock.settle()
    await space.send([inbox('a')])
    faults.poll = () => ({ lateMs: 100 })
    faults.read = () => ({ lateMs: 100 })
    const late = Promise.all([owner.current(0).poll({ max: 1, waitMs: 0 }), owner.current(0).load(['e/a'])])
    await clock.advance(100)
    expect((await late)[0]).toHaveLength(1)
    faults.read = () => 'lost'
    await expect(owner.current(0).scan('e/', undefined, 1)).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    await expect(owner.current(0).commit(commitOf(1))).rejects.toMatchObject({ code: 'TASKS_FENCED' })
  })

  test('heartbeats fail until the lease is lost, and claims until they succeed', async () => {
    const { clock, faults, space } = await setup()
    faults.claim = () => 'failed'
    const owner = own(space)
    await clock.settle()
    expect(owner.sessions).toEqual([])
    delete faults.claim
    await clock.advance(leaseMs)
    expect(owner.sessions).toHaveLength(2)
    faults.heartbeat = () => 'failed'
    await clock.advance(leaseMs + 1)
    expect(owner.sessions.map(({ lost }) => lost.aborted)).toEqual([true, true])
  })

  test('leases run out between two heartbeats', async () => {
    const { clock, faults, space } = await setup()
    const owner = own(space)
    await clock.settle()
    faults.heartbeat = () => {
      delete faults.heartbeat
      return 'expired'
    }
    await clock.advance(leaseMs / 3)
    expect(owner.sessions.slice(0, 2).map(({ lost }) => (lost.reason as { code: string }).code)).toEqual([
      'TASKS_FENCED',
      'TASKS_FENCED',
    ])
    await clock.advance(leaseMs)
    expect(owner.sessions).toHaveLength(4)
  })

  test('a claim that nobody heard of keeps the partition until its lease has run out', async () => {
    const { clock, faults, space } = await setup()
    let count = 0
    faults.claim = ({ partition }) => (partition === 0 && count++ === 0 ? 'unanswered' : undefined)
    const owner = own(space)
    await clock.advance(leaseMs - 1)
    expect(owner.sessions.map(({ partition }) => partition)).toEqual([1])
    await clock.advance(leaseMs)
    expect(owner.current(0).epoch).toBe(2)
  })

  test('replies and signals are lost, come twice, or late', async () => {
    const { clock, faults, space } = await setup()
    const heard: string[] = []
    const { address } = await space.replies((body) => heard.push(`reply ${body[0]}`))
    space.onSignal((body) => heard.push(`signal ${body[0]}`))
    const fates = ['lost', 'twice', { lateMs: 100 }] as const
    for (const [i, fate] of fates.entries()) {
      faults.reply = faults.signal = () => fate
      await space.send([{ target: { to: 'reply', address }, id: 'r', body: new Uint8Array([i]) }])
      await space.signal(new Uint8Array([i]))
    }
    await clock.settle()
    expect(heard.sort()).toEqual(['reply 1', 'reply 1', 'signal 1', 'signal 1'])
    await clock.advance(100)
    expect(heard.slice(4).sort()).toEqual(['reply 2', 'signal 2'])
  })
})

describe('options', () => {
  test('limits and durability are what it says of itself', async () => {
    const { capabilities } = memoryTransport({
      maxMessageBytes: 100,
      maxCommitBytes: 500,
      maxCommitItems: 3,
      durability: 'fsync',
    })
    expect(capabilities).toMatchObject({
      maxMessageBytes: 100,
      maxCommitBytes: 500,
      maxCommitItems: 3,
      durability: 'fsync',
    })
    expect(memoryTransport({ maxMessageBytes: 100 }).capabilities.maxCommitBytes).toBe(800)
    expect(memoryTransport().capabilities.durability).toBe('none')
  })

  test('two transports without a common store have nothing in common', async () => {
    const one = await memoryTransport().open({ namespace: 'n' })
    const other = await memoryTransport().open({ namespace: 'n' })
    await one.send([task('a')])
    expect(await other.backlog('q')).toBeUndefined()
  })

  test.each([0, -1, 1.5, NaN])('%s partitions are refused', async (partitions) => {
    await expect(memoryTransport().open({ namespace: 'n', partitions })).rejects.toMatchObject({
      code: 'TASKS_OPTIONS',
    })
  })

  test('a send to a partition that is not there is refused, certainly', async () => {
    const { space } = await setup()
    const [outcome] = await space.send([{ ...inbox('a'), target: { to: 'inbox', partition: 2 } }])
    expect(outcome).toMatchObject({ ok: false, certain: true, error: { code: 'TASKS_ARGUMENTS' } })
  })

  test('a session has one poll at a time', async () => {
    const { clock, space } = await setup()
    const owner = own(space)
    await clock.settle()
    const first = owner.current(0).poll({ max: 1, waitMs: 10 })
    await expect(owner.current(0).poll({ max: 1, waitMs: 10 })).rejects.toMatchObject({ code: 'TASKS_ARGUMENTS' })
    await clock.advance(10)
    expect(await first).toEqual([])
  })
})

describe('backlog', () => {
  test('knows the oldest among what is new, returned, delayed and suspect', async () => {
    const { clock, space } = await setup()
    const consumer = space.consume({ queues: ['q'], leaseMs })
    await space.send([task('old')])
    await clock.advance(100)
    await space.send([task('new')])
    expect(await space.backlog('q')).toBe(100)
    const [old] = await consumer.receive({ ...receive, max: 1 })
    expect(await space.backlog('q')).toBe(0)
    await consumer.settle([{ lease: old!, op: 'return', delayMs: 50 }], [])
    expect(await space.backlog('q')).toBe(100)
    await clock.advance(50)
    expect(await space.backlog('q')).toBe(150)
    await consumer.receive(receive)
    expect(await space.backlog('q')).toBeUndefined()
    await clock.advance(leaseMs)
    expect(await space.backlog('q')).toBe(150 + leaseMs)
  })
})
