// What the transport costs above the driver it uses, at the same durability, in one process.
//   npx tsx --conditions=@tasks/source bench/floor.ts
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PartitionSession, Send, Space } from '@tasks/core'
import { chooseDriver } from '../src/driver'
import { sqliteTransport } from '../src/index'

const ROUNDS = 5
const body = new Uint8Array(200).fill(7)
const folder = mkdtempSync(join(tmpdir(), 'tasks-sqlite-'))
const driver = chooseDriver()

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!
}

async function seconds(fn: () => unknown): Promise<number> {
  const start = performance.now()
  await fn()
  return (performance.now() - start) / 1000
}

const raw = driver.open(join(folder, 'raw.db'))
raw.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
raw.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, body BLOB)')
const insert = raw.prepare('INSERT INTO t(a, b, body) VALUES (?, ?, ?)')
const put = raw.prepare('REPLACE INTO t VALUES (?, 1, ?, ?)')
const begin = raw.prepare('BEGIN IMMEDIATE')
const end = raw.prepare('COMMIT')

function rawInserts(total: number, batch: number): void {
  for (let i = 0; i < total; i += batch) {
    begin.run()
    for (let j = 0; j < batch; j++) insert.run(i + j, 'abcdefghij0123456789', body)
    end.run()
  }
}

function rawPuts(total: number): void {
  for (let i = 0; i < total; i++) {
    begin.run()
    put.run(i % 1000, 'abcdefghij0123456789', body)
    end.run()
  }
}

const transport = sqliteTransport({ path: join(folder, 'tasks.db') })
const space = await transport.open({ namespace: 'bench' })

function sends(count: number, target: (i: number) => Send['target']): Send[] {
  return Array.from({ length: count }, (_, i) => ({ target: target(i), id: `abcdefghij.${i}`, body }))
}

async function sendAll(total: number, batch: number, target: (i: number) => Send['target']): Promise<void> {
  for (let i = 0; i < total; i += batch) await space.send(sends(batch, target))
}

async function drain(total: number, batch: number): Promise<void> {
  const consumer = space.consume({ queues: ['q'], leaseMs: 30_000 })
  for (let done = 0; done < total;) {
    const leases = await consumer.receive({ max: batch, waitMs: 1000, suspects: false })
    await consumer.settle(
      leases.map((lease) => ({ lease, op: 'ack' })),
      [],
    )
    done += leases.length
  }
  await consumer.close()
}

async function owning(space: Space, fn: (session: PartitionSession) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  let taken = false
  await space.own({ leaseMs: 10_000 }).run(async (session) => {
    if (!taken) {
      taken = true
      await fn(session)
      stop.abort()
    }
    if (!session.lost.aborted) await new Promise((resolve) => session.lost.addEventListener('abort', resolve))
  }, stop.signal)
}

const figures = new Map<string, number[]>()
const note = (name: string, value: number): void => void figures.set(name, [...(figures.get(name) ?? []), value])

const SINGLE = 2000
const MANY = 50_000
for (let round = 0; round <= ROUNDS; round++) {
  const measure = async (name: string, count: number, fn: () => unknown): Promise<void> => {
    const rate = count / (await seconds(fn))
    if (round > 0) note(name, rate)
  }
  await measure('raw: one row a transaction', SINGLE, () => rawPuts(SINGLE))
  await owning(space, async (session) => {
    let seq = session.seq
    const key = (i: number): string => `entity${i % 1000}/row`
    await measure('commit: one row', SINGLE, async () => {
      for (let i = 0; i < SINGLE; i++)
        await session.commit({ seq: ++seq, time: 1, rows: new Map([[key(i), body]]), sends: [] })
    })
    await measure('commit: one row, one task', SINGLE, async () => {
      for (let i = 0; i < SINGLE; i++) {
        await session.commit({
          seq: ++seq,
          time: 1,
          rows: new Map([[key(i), body]]),
          sends: sends(1, () => ({ to: 'task', queue: 'c' })),
        })
      }
    })
    await measure('commit: 1000 rows, rows', MANY, async () => {
      for (let i = 0; i < MANY; i += 1000) {
        await session.commit({
          seq: ++seq,
          time: 1,
          rows: new Map(Array.from({ length: 1000 }, (_, j) => [`x/r/${i + j}`, body])),
          sends: [],
        })
      }
    })
    await measure('delete: 1000 rows', MANY, async () => {
      for (let i = 0; i < MANY; i += 1000) {
        await session.commit({
          seq: ++seq,
          time: 1,
          rows: new Map(Array.from({ length: 1000 }, (_, j) => [`x/r/${i + j}`, null])),
          sends: [],
        })
      }
    })
    await measure('inbox: send, 1000 a batch', MANY, () =>
      sendAll(MANY, 1000, () => ({ to: 'inbox', partition: session.partition })),
    )
    await measure('inbox: poll and commit through, 1000 a batch', MANY, async () => {
      for (let done = 0; done < MANY;) {
        const messages = await session.poll({ max: 1000, waitMs: 1000 })
        done += messages.length
        await session.commit({ seq: ++seq, time: 1, through: messages.at(-1)!.position, rows: new Map(), sends: [] })
      }
    })
  })
  for (const batch of [100, 1000]) {
    await measure(`raw: insert, ${batch} a transaction`, MANY, () => rawInserts(MANY, batch))
    await measure(`queue: send, ${batch} a batch`, MANY, () => sendAll(MANY, batch, () => ({ to: 'task', queue: 'q' })))
    await measure(`queue: receive and ack, ${batch} a batch`, MANY, () => drain(MANY, batch))
  }
  await measure('inbox: send to 16 partitions, 1000 a batch', MANY, () =>
    sendAll(MANY, 1000, (i) => ({ to: 'inbox', partition: i % 16 })),
  )
}
await transport.close()
raw.close()
rmSync(folder, { recursive: true })

const rate = (name: string): number => median(figures.get(name)!)
console.log(
  `Node ${process.versions.node}, ${transport.capabilities.server}, synchronous FULL, median of ${ROUNDS} rounds`,
)
for (const name of figures.keys())
  console.log(`${name.padEnd(46)} ${Math.round(rate(name)).toLocaleString('en').padStart(10)} /s`)
console.log(
  `one-row commit: ${(rate('raw: one row a transaction') / rate('commit: one row')).toFixed(2)} of a raw one-row transaction`,
)
for (const batch of [100, 1000]) {
  console.log(
    `send, ${batch} a batch: ${(rate(`queue: send, ${batch} a batch`) / rate(`raw: insert, ${batch} a transaction`)).toFixed(2)} of the raw insert rate`,
  )
}
