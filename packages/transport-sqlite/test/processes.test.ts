import { setTimeout as sleep } from 'node:timers/promises'
import type { PartitionSession, Space } from '@tasks/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { chooseDriver } from '../src/driver'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'
import type { Peer } from './support/peer'
import { startPeer } from './support/peer'

const LEASE_MS = 30_000

async function open(path: string): Promise<Space> {
  const transport = sqliteTransport({ path })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'n' })
}

async function peer(path: string): Promise<Peer> {
  const peer = await startPeer(path)
  await peer.call('open', 'n')
  return peer
}

const SOON = { timeout: 5_000, interval: 2 }

/** Takes part in owning until the test ends. */
function own(space: Space, leaseMs: number): Map<number, PartitionSession> {
  const sessions = new Map<number, PartitionSession>()
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  void space.own({ leaseMs }).run(async (session) => {
    sessions.set(session.partition, session)
    if (!session.lost.aborted) await new Promise((resolve) => session.lost.addEventListener('abort', resolve))
    sessions.delete(session.partition)
  }, stop.signal)
  return sessions
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const tasks = (count: number): { target: { to: 'task'; queue: string }; id: string; body: string }[] =>
  Array.from({ length: count }, (_, i) => ({ target: { to: 'task', queue: 'q' }, id: `t${i}`, body: '' }))

describe('several processes', () => {
  test('share a queue, and each task is handed out once', async () => {
    const path = newPath()
    const space = await open(path)
    const [a, b] = await Promise.all([peer(path), peer(path)])
    const count = 3000
    await space.send(tasks(count).map((task) => ({ ...task, body: bytes('x') })))
    const [ofA, ofB] = await Promise.all([a.call('drain', 20), b.call('drain', 20)])
    expect(new Set([...ofA, ...ofB]).size).toBe(count)
    expect(ofA.length + ofB.length).toBe(count)
    expect(Math.min(ofA.length, ofB.length)).toBeGreaterThan(0)
    await Promise.all([a.call('close'), b.call('close')])
  })

  // That they need not look by themselves: wakeup.test.ts.
  test('hear of what another one sends without waiting for their beat', async () => {
    const path = newPath()
    const space = await open(path)
    const other = await peer(path)
    const waits: number[] = []
    for (let i = 0; i < 30; i++) {
      const received = other.call('receive', 1, 5000, false)
      await sleep(20)
      const start = performance.now()
      await space.send([{ target: { to: 'task', queue: 'q' }, id: `${i}`, body: bytes('') }])
      expect((await received).length).toBe(1)
      waits.push(performance.now() - start)
      await other.call('ack', [`${i}`])
    }
    waits.sort((a, b) => a - b)
    console.log(
      `woken in another process, with the way back to the test: median ${waits[15]!.toFixed(1)} ms, longest ${waits[29]!.toFixed(1)} ms`,
    )
    expect(waits[15]).toBeLessThan(100)
  })

  test('hear signals, and get replies where they asked for them', async () => {
    const path = newPath()
    const space = await open(path)
    const [a, b] = await Promise.all([peer(path), peer(path)])
    const address = await a.call('replyAddress')
    await space.send([{ target: { to: 'reply', address }, id: 'r', body: bytes('to a') }])
    await b.call('signal', 'to all')
    const heard: string[] = []
    space.onSignal((body) => void heard.push(new TextDecoder().decode(body)))
    await b.call('signal', 'again')
    await expect.poll(() => a.call('heard'), SOON).toEqual({ signals: ['to all', 'again'], replies: ['to a'] })
    expect(await b.call('heard')).toEqual({ signals: ['to all', 'again'], replies: [] })
    await expect.poll(() => heard, SOON).toContain('again')
  })

  test('take over the partitions of one that was killed, long before its leases run out', async () => {
    const path = newPath()
    const space = await open(path)
    const victim = await peer(path)
    await victim.call('own', LEASE_MS)
    await expect.poll(() => victim.call('owned'), SOON).toHaveLength(16)
    const sessions = own(space, LEASE_MS)
    await expect.poll(() => sessions.size, SOON).toBe(8)
    await victim.call('commit', [...(await victim.call('owned'))][0]!, 'e/r', 'last words')
    const start = performance.now()
    victim.kill('SIGKILL')
    await expect.poll(() => sessions.size, SOON).toBe(16)
    console.log(`crash take-over of 8 partitions on the same host: ${(performance.now() - start).toFixed(0)} ms`)
    const rows = await Promise.all([...sessions.values()].map((session) => session.load(['e/r'])))
    expect(
      rows
        .flat()
        .filter((row) => row !== undefined)
        .map((row) => new TextDecoder().decode(row)),
    ).toEqual(['last words'])
  })

  test('get back the tasks of one that was killed, as suspects and one by one', async () => {
    const path = newPath()
    const space = await open(path)
    const victim = await peer(path)
    await space.send(tasks(5).map((task) => ({ ...task, body: bytes('x') })))
    expect((await victim.call('receive', 5, 1000, false, LEASE_MS)).length).toBe(5)
    const start = performance.now()
    victim.kill('SIGKILL')
    const consumer = space.consume({ queues: ['q'], leaseMs: LEASE_MS })
    const [first, ...others] = await consumer.receive({ max: 5, waitMs: 5000, suspects: true })
    console.log(`tasks of a killed process came back after ${(performance.now() - start).toFixed(0)} ms`)
    expect(others).toEqual([])
    const ids = [first!.id]
    for (let i = 1; i < 5; i++) {
      const [lease, ...rest] = await consumer.receive({ max: 5, waitMs: 1000, suspects: true })
      expect(rest).toEqual([])
      expect(lease!.deliveries).toBe(2)
      ids.push(lease!.id)
    }
    expect(ids.sort()).toEqual(['t0', 't1', 't2', 't3', 't4'])
  })

  test('fence one that was stopped and goes on later', async () => {
    const path = newPath()
    const space = await open(path)
    const zombie = await peer(path)
    await zombie.call('own', 600)
    await expect.poll(() => zombie.call('owned'), SOON).toHaveLength(16)
    const before = await zombie.call('commit', 3, 'e/r', 'before')
    zombie.kill('SIGSTOP')
    const sessions = own(space, LEASE_MS)
    await expect.poll(() => sessions.size, SOON).toBe(16)
    const session = sessions.get(3)!
    expect(session.claim).not.toBe(before)
    expect(session.seq).toBe(1)
    await session.commit({ seq: 2, time: 1, rows: new Map([['e/r', bytes('after')]]), sends: [] })
    const late = zombie.call('tryCommit', 3, 'e/r', 'a voice from the grave')
    zombie.kill('SIGCONT')
    expect(await late).toBe('TASKS_FENCED')
    expect(new TextDecoder().decode((await session.load(['e/r']))[0])).toBe('after')
  })

  test('hold each other up only while one of them writes', async () => {
    const path = newPath()
    const space = await open(path)
    const others = await Promise.all([peer(path), peer(path)])
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last - 1)
      last = performance.now()
    }, 1)
    const send = (round: number): Promise<unknown> =>
      Promise.all([
        space.send(tasks(200).map((task) => ({ ...task, id: `m${round}.${task.id}`, body: bytes('x') }))),
        ...others.map((other, i) =>
          other.call(
            'send',
            tasks(200).map((task) => ({ ...task, id: `o${i}.${round}.${task.id}` })),
          ),
        ),
      ])
    for (let round = 0; round < 20; round++) await send(round)
    clearInterval(timer)
    console.log(`three processes writing at once: the event loop was held up for ${longest.toFixed(0)} ms at most`)
    const drained = await Promise.all(others.map((other) => other.call('drain', 100)))
    expect(new Set(drained.flat()).size).toBe(12_000)
  })

  test('may all start at once on a file that is not there yet', async () => {
    const path = newPath()
    const peers = await Promise.all(Array.from({ length: 4 }, () => startPeer(path)))
    const servers = await Promise.all(peers.map((each) => each.call('open', 'n')))
    expect(new Set(servers).size).toBe(1)
    expect(await peers[0]!.call('send', tasks(10))).toEqual(Array(10).fill(true))
    expect((await peers[3]!.call('drain', 10)).length).toBe(10)
  })

  test('leave nothing of themselves behind when they close', async () => {
    const path = newPath()
    const space = await open(path)
    const other = await peer(path)
    await other.call('own', LEASE_MS)
    await expect.poll(() => other.call('owned'), SOON).toHaveLength(16)
    const sessions = own(space, LEASE_MS)
    const start = performance.now()
    await other.call('close')
    await expect.poll(() => sessions.size, SOON).toBe(16)
    console.log(`planned hand-over of all partitions: ${(performance.now() - start).toFixed(0)} ms`)
    await other.exited
    const db = chooseDriver().open(path)
    onTestFinished(() => db.close())
    const count = (table: string): unknown => db.prepare(`SELECT count(*) AS n FROM ${table}`).get()
    expect([count('process'), count('host')]).toEqual([{ n: 1 }, { n: 1 }])
  })
})
