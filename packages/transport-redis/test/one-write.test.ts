// Several partitions' commits share one write: what the calls of one turn of the event loop ask for is one system call here, and mostly one read of the server.
import { createClient, createTasks, startWorker, type PartitionSession } from '@tasks/core'
import { Redis } from 'ioredis'
import { Socket } from 'node:net'
import { expect, onTestFinished, test, vi, type TestContext } from 'vitest'
import { redisTransport } from '../src/index'
import { commit } from '../src/scripts/commit'
import { newServer } from './support/server'

const PARTITIONS = 8

/** The URL of a server that knows the script: a call of it has its name, and not its text. */
async function serverUrl(ctx: TestContext): Promise<string> {
  const { url } = await newServer(ctx)
  const client = new Redis(url)
  await client.script('LOAD', commit.source)
  client.disconnect()
  return url
}

/** From now on: how many commits were in each write of a socket that had any. */
function countWrites(): readonly number[] {
  const counts: number[] = []
  const note = (bytes: Buffer): void => {
    const count = bytes.toString('latin1').split(commit.sha).length - 1
    if (count > 0) counts.push(count)
  }
  const prototype = Socket.prototype as Required<Socket>
  const { _write: write, _writev: writeAll } = prototype
  const single = vi.spyOn(prototype, '_write').mockImplementation(function (this: Socket, chunk: Buffer, ...rest) {
    note(chunk)
    write.call(this, chunk, ...rest)
  })
  const several = vi.spyOn(prototype, '_writev').mockImplementation(function (this: Socket, chunks, done) {
    note(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)))
    writeAll.call(this, chunks, done)
  })
  onTestFinished(() => {
    single.mockRestore()
    several.mockRestore()
  })
  return counts
}

test('commits of several partitions that are called in one turn of the event loop leave in one write', async (ctx) => {
  const transport = redisTransport({ url: await serverUrl(ctx) })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'one', partitions: PARTITIONS })
  const sessions: PartitionSession[] = []
  const stop = new AbortController()
  const owning = space.own({ leaseMs: 60_000 }).run(async (session) => {
    sessions.push(session)
    await new Promise<void>((resolve) => session.lost.addEventListener('abort', () => resolve(), { once: true }))
  }, stop.signal)
  await vi.waitFor(() => expect(sessions).toHaveLength(PARTITIONS), { timeout: 10_000 })
  const writes = countWrites()
  const rows = new Map([['e/a', Buffer.from('1')]])
  await Promise.all(sessions.map((session) => session.commit({ seq: 1, time: 1, rows, sends: [] })))
  expect(writes).toEqual([PARTITIONS])
  stop.abort()
  await owning
})

test('owners that have something to do at the same time commit in one write', async (ctx) => {
  const tasks = createTasks({ namespace: 'many' })
  const step = tasks.bind('step', (n: number) => n + 1)
  const transport = redisTransport({ url: await serverUrl(ctx) })
  const worker = await startWorker({ tasks, transport, partitions: PARTITIONS, concurrency: 100 })
  const client = createClient({ namespace: 'many', transport })
  onTestFinished(async () => {
    await worker.close()
    await client.close()
    await transport.close()
  })
  const pipelines = 8 * PARTITIONS
  const runAll = (batch: string): Promise<unknown> =>
    Promise.all(
      Array.from({ length: pipelines }, async (_, i) => {
        const run = await client.submit(step.send(0).continueWith(step).continueWith(step), { id: `${batch}${i}` })
        expect(await run.result({ timeoutMs: 30_000 })).toBe(3)
      }),
    )
  // By its end every partition has an owner.
  await runAll('first')
  const writes = countWrites()
  await runAll('second')
  const commits = writes.reduce((sum, count) => sum + count)
  expect(commits).toBeLessThan(pipelines * 3)
  expect(commits / writes.length).toBeGreaterThan(2)
}, 60_000)
