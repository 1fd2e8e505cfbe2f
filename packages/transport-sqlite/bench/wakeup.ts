// How soon another process sees a commit, and what waiting for it costs: watching a file that the writer touches, against asking
// `PRAGMA data_version` every n milliseconds. The last line is the transport itself, from `send` to the delivery by `receive`.
//   npx tsx --conditions=@tasks/source bench/wakeup.ts
import { fork } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, watch, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chooseDriver } from '../src/driver'
import { sqliteTransport } from '../src/index'

const COMMITS = 500
const IDLE_MS = 5000
const STRATEGIES = ['nothing', 'poll 1', 'poll 2', 'poll 5', 'poll 10', 'watch', 'transport']

const [role, path, strategy] = process.argv.slice(2) as [string | undefined, string, string]
if (role === undefined) await measureAll()
else await wait()

interface Report {
  readonly micros: readonly number[]
  readonly idleCpu: number
}

async function measureAll(): Promise<void> {
  console.log(`Node ${process.versions.node}; ${COMMITS} commits at random times, then ${IDLE_MS} ms of nothing`)
  for (const strategy of STRATEGIES) {
    const folder = mkdtempSync(join(tmpdir(), 'tasks-sqlite-'))
    const { micros, idleCpu } = await measure(join(folder, 'tasks.db'), strategy)
    const sorted = [...micros].sort((a, b) => a - b)
    const at = (share: number): string => `${((sorted[Math.floor(share * sorted.length)] ?? NaN) / 1000).toFixed(2)} ms`
    console.log(
      `${strategy.padEnd(10)} p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(0.9999)}  idle CPU ${(idleCpu * 100).toFixed(2)} %`,
    )
    rmSync(folder, { recursive: true })
  }
}

async function measure(path: string, strategy: string): Promise<Report> {
  const commit = strategy === 'transport' ? await transportWriter(path) : rawWriter(path)
  const child = fork(fileURLToPath(import.meta.url), ['wait', path, strategy], { execArgv: process.execArgv })
  await new Promise((resolve) => child.once('message', resolve))
  await sleep(300)
  for (let i = 0; i < COMMITS; i++) {
    await commit.once()
    await sleep(2 + Math.random() * 15)
  }
  const report = new Promise<Report>((resolve) => child.once('message', (message) => resolve(message as Report)))
  child.send('idle')
  const answer = await report
  child.kill()
  await commit.close()
  return answer
}

// The time is taken after the commit: what is measured is the way to the other process.
function rawWriter(path: string): { once(): Promise<void>; close(): Promise<void> } {
  const db = chooseDriver().open(path)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT)')
  const wake = openSync(`${path}-wake`, 'w')
  const insert = db.prepare('INSERT INTO t(at) VALUES (?)')
  return {
    async once() {
      insert.run(String(process.hrtime.bigint()))
      writeSync(wake, '.', 0)
    },
    async close() {
      closeSync(wake)
      db.close()
    },
  }
}

async function transportWriter(path: string): Promise<{ once(): Promise<void>; close(): Promise<void> }> {
  const transport = sqliteTransport({ path, synchronous: 'normal' })
  const space = await transport.open({ namespace: 'bench' })
  return {
    async once() {
      const body = new TextEncoder().encode(String(process.hrtime.bigint()))
      await space.send([{ target: { to: 'task', queue: 'q' }, id: 'x', body }])
    },
    close: () => transport.close(),
  }
}

async function wait(): Promise<void> {
  const micros: number[] = []
  const seen = (at: string): void => void micros.push(Number(process.hrtime.bigint() - BigInt(at)) / 1000)
  if (strategy === 'transport') void receive(seen)
  else if (strategy !== 'nothing') look(seen)
  process.send!('ready')
  await new Promise((resolve) => process.once('message', resolve))
  const before = process.cpuUsage()
  await sleep(IDLE_MS)
  const { user, system } = process.cpuUsage(before)
  process.send!({ micros, idleCpu: (user + system) / 1000 / IDLE_MS } satisfies Report)
}

async function receive(seen: (at: string) => void): Promise<void> {
  const space = await sqliteTransport({ path, synchronous: 'normal' }).open({ namespace: 'bench' })
  const consumer = space.consume({ queues: ['q'], leaseMs: 10_000 })
  for (;;) {
    const leases = await consumer.receive({ max: 100, waitMs: 60_000, suspects: false })
    for (const { body } of leases) seen(new TextDecoder().decode(body))
    await consumer.settle(
      leases.map((lease) => ({ lease, op: 'ack' })),
      [],
    )
  }
}

function look(seen: (at: string) => void): void {
  const db = chooseDriver().open(path)
  const version = db.prepare('PRAGMA data_version')
  const rows = db.prepare('SELECT id, at FROM t WHERE id > ?')
  let last = 0
  let known = -1
  const check = (): void => {
    const { data_version: now } = version.get() as { data_version: number }
    if (now === known) return
    known = now
    for (const { id, at } of rows.all(last) as { id: number; at: string }[]) {
      last = id
      seen(at)
    }
  }
  check()
  // A connection that nobody refers to is closed.
  process.once('exit', () => db.close())
  if (strategy === 'watch') watch(`${path}-wake`, check)
  else setInterval(check, Number(strategy.split(' ')[1]))
}
