// Several processes that each commit one row after the other: how many commits there are, how long the slowest waits, and how long
// event loops stand still.
//   node --import tsx --conditions=@tasks/source bench/contention.ts
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { PartitionSession } from '@tasks/core'
import { sqliteTransport } from '../src/index'

const MS = 3000

const [path, name] = process.argv.slice(2) as [string | undefined, string]
if (path === undefined) await measureAll()
else await commitAll(path)

async function measureAll(): Promise<void> {
  for (const count of [1, 2, 3]) {
    const folder = mkdtempSync(join(tmpdir(), 'tasks-sqlite-'))
    console.log(`${count} at once`)
    const start = (i: number): Promise<unknown> =>
      once(fork(fileURLToPath(import.meta.url), [join(folder, 'tasks.db'), `process ${i}`]), 'exit')
    await Promise.all(Array.from({ length: count }, (_, i) => start(i + 1)))
    rmSync(folder, { recursive: true })
  }
}

async function commitAll(path: string): Promise<void> {
  const transport = sqliteTransport({ path })
  const space = await transport.open({ namespace: name })
  const stop = new AbortController()
  await space.own({ leaseMs: 30_000 }).run(async (session) => {
    if (session.partition === 0) {
      await sleep(500)
      await measure(session)
      stop.abort()
    }
    if (!session.lost.aborted) await new Promise((resolve) => session.lost.addEventListener('abort', resolve))
  }, stop.signal)
  await transport.close()
}

async function measure(session: PartitionSession): Promise<void> {
  const waits: number[] = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const until = performance.now() + MS
  for (let seq = session.seq + 1; performance.now() < until; seq++) {
    const before = performance.now()
    await session.commit({ seq, time: 1, rows: new Map([[`e${seq % 1000}/row`, new Uint8Array(200)]]), sends: [] })
    waits.push(performance.now() - before)
  }
  waits.sort((a, b) => a - b)
  const at = (share: number): string => waits[Math.floor(share * (waits.length - 1))]!.toFixed(1)
  const loop = (delay.max / 1e6).toFixed(1)
  const rate = Math.round((waits.length * 1000) / MS)
  console.log(
    `  ${name}: ${rate} commits/s, a commit p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms, event loop at most ${loop} ms`,
  )
}
