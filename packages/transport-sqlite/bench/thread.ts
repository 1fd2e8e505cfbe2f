// Whether the file would be better off in a thread of its own: what a commit costs here and there, and how long the event loop stands
// still meanwhile. In the thread a commit is one message with the row in it, and one back.
//   node --import tsx --conditions=@tasks/source bench/thread.ts [ms that a commit waits for the disk, instead of the real wait]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { chooseDriver } from '../src/driver'

const SINGLE = 3000
const MANY = 300
const BATCH = 100
const slowMs = Number(process.argv[2] ?? 0)

type Write = (rows: readonly Uint8Array[]) => Promise<void> | void

function writer(path: string, slowMs: number): (rows: readonly Uint8Array[]) => void {
  const db = chooseDriver().open(path)
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${slowMs > 0 ? 'NORMAL' : 'FULL'}`)
  db.exec('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body BLOB)')
  const insert = db.prepare('INSERT INTO t(body) VALUES (?)')
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  process.once('exit', () => db.close())
  return (rows) => {
    begin.run()
    for (const row of rows) insert.run(row)
    commit.run()
    if (slowMs > 0) Atomics.wait(nobody, 0, 0, slowMs)
  }
}

async function measure(name: string, write: Write): Promise<void> {
  const rows = (count: number): Uint8Array[] => Array.from({ length: count }, () => new Uint8Array(200))
  const delay = monitorEventLoopDelay({ resolution: 1 })
  for (const [count, batch] of [
    [SINGLE, 1],
    [MANY, BATCH],
  ] as const) {
    const total = slowMs > 0 ? Math.min(count, 200) : count
    delay.reset()
    delay.enable()
    const start = performance.now()
    for (let i = 0; i < total; i++) {
      await write(rows(batch))
      await new Promise(setImmediate)
    }
    const micros = ((performance.now() - start) * 1000) / total
    delay.disable()
    const p99 = (delay.percentile(99) / 1e6).toFixed(1)
    console.log(
      `${name.padEnd(12)} ${String(batch).padStart(4)} rows a commit: ${micros.toFixed(0).padStart(5)} µs a commit, event loop p99 ${p99} ms`,
    )
  }
}

if (isMainThread) {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-sqlite-'))
  await measure('main thread', writer(join(folder, 'main.db'), slowMs))
  // On Node 20 a worker does not inherit the loader for TypeScript.
  const code = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(import.meta.url)}) })`
  const worker = new Worker(code, {
    eval: true,
    workerData: { path: join(folder, 'worker.db'), slowMs },
    execArgv: process.execArgv,
  })
  await new Promise((resolve) => worker.once('message', resolve))
  const post: Write = (rows) =>
    new Promise((resolve) => {
      worker.once('message', resolve)
      worker.postMessage(rows)
    })
  await measure('own thread', post)
  await worker.terminate()
  rmSync(folder, { recursive: true })
} else {
  const { path, slowMs } = workerData as { path: string; slowMs: number }
  const write = writer(path, slowMs)
  parentPort!.on('message', (rows: Uint8Array[]) => {
    write(rows)
    parentPort!.postMessage('stored')
  })
  parentPort!.postMessage('ready')
}
