// How long a new owner takes for a partition of a million rows: node --import tsx --conditions=@tasks/source bench/restore.ts [rows] [bytes each]
import type { PartitionSession } from '@tasks/core'
import { startNats } from '@tasks/dev-config/brokers'
import { natsTransport } from '../src/index'

const [rows = 1_000_000, bytes = 100] = process.argv.slice(2).map(Number)
const PER_COMMIT = 5_000

const server = await startNats()
const body = Buffer.alloc(bytes, 'x')

async function withSession<T>(use: (session: PartitionSession, seconds: number) => Promise<T>): Promise<T> {
  const transport = natsTransport({ url: server.url })
  const space = await transport.open({ namespace: 'restore', partitions: 1 })
  const stopping = new AbortController()
  const since = performance.now()
  let result: T | undefined
  await space.own({ leaseMs: 60_000 }).run(async (session) => {
    result = await use(session, (performance.now() - since) / 1000)
    stopping.abort()
  }, stopping.signal)
  await transport.close()
  return result!
}

await withSession(async (session) => {
  const since = performance.now()
  for (let seq = 1, row = 0; row < rows; seq++) {
    const changes = new Map<string, Buffer>()
    for (let i = 0; i < PER_COMMIT && row < rows; i++, row++) changes.set(`${row % 1_000}/${row}`, body)
    await session.commit({ seq, time: seq, rows: changes, sends: [] })
  }
  const seconds = (performance.now() - since) / 1000
  console.log(`${rows} rows of ${bytes} bytes written in ${seconds.toFixed(1)} s`)
})
globalThis.gc?.()
const before = process.memoryUsage()
await withSession(async (session, seconds) => {
  const [since, cpuBefore] = [performance.now(), process.cpuUsage()]
  const found = await session.scan('0/', undefined, 10_000)
  const restored = (performance.now() - since) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  const after = process.memoryUsage()
  const held = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  console.log(
    `claimed in ${seconds.toFixed(2)} s, restored in ${restored.toFixed(2)} s (${((user + system) / 1e6).toFixed(2)} s of CPU), about ${Math.round(held / rows)} bytes of memory a row`,
  )
  console.log(`${found.length} of them in one entity`)
})
await server.stop()
