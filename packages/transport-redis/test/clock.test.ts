// Times are the server's: a worker whose clock is wrong keeps every promise about them.
import { createClient, createTasks, sleep, startWorker } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import { silentLogger } from '@tasks/core/testing'
import { expect, onTestFinished, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

const HOUR_MS = 3_600_000

test.for([
  ['an hour slow', -HOUR_MS],
  ['an hour fast', HOUR_MS],
] as const)(
  'a worker whose clock is %s sleeps, retries and keeps its leases as long as another',
  { timeout: 60_000 },
  async ([, off], ctx) => {
    const server = await newServer(ctx)
    const connect = () => redisTransport({ url: server.url })
    const wrong = { ...systemClock, now: () => Date.now() + off }
    let failing = true
    const starts: string[] = []
    const registry = () => {
      const tasks = createTasks({ namespace: 'clock' })
      const note = tasks.bind('note', (name: string) => {
        starts.push(name)
        return name
      })
      const retried = tasks.bind(
        'retried',
        (name: string) => {
          starts.push(name)
          if (failing) {
            failing = false
            throw new Error('again')
          }
          return name
        },
        { retry: { maxRetries: 1, delayMs: 300, jitter: 'none' } },
      )
      const long = tasks.bind('long', async (ms: number) => {
        starts.push('long')
        await new Promise((resolve) => setTimeout(resolve, ms))
        return ms
      })
      return { tasks, note, retried, long }
    }
    const { note, retried, long } = registry()
    // Which of the two owns what, and takes what, is left to chance.
    for (const clock of [wrong, systemClock]) {
      const transport = redisTransport({ url: server.url, clock })
      const worker = await startWorker({
        tasks: registry().tasks,
        transport,
        clock,
        partitions: 4,
        localLane: false,
        leaseMs: 1_000,
        logger: silentLogger,
      })
      onTestFinished(async () => {
        await worker.close({ drainMs: 0 })
        await transport.close()
      })
    }
    const transport = connect()
    const client = createClient({ namespace: 'clock', transport, logger: silentLogger })
    onTestFinished(async () => {
      await client.close()
      await transport.close()
    })
    const began = performance.now()
    const runs = await Promise.all([
      ...Array.from({ length: 8 }, (_, n) =>
        client.submit(
          note
            .send(`before ${n}`)
            .continueWith(sleep(500))
            .continueWith(note.send(`after ${n}`)),
          {
            id: `s${n}`,
          },
        ),
      ),
      client.submit(retried.send('retried'), { id: 'r' }),
      client.submit(long.send(3_000), { id: 'l' }),
      client.submit(note.send('later'), { id: 'd', delayMs: 500 }),
    ])
    const took = await Promise.all(
      runs.map(async (run) => {
        await run.result({ timeoutMs: 30_000 })
        return performance.now() - began
      }),
    )
    // All that waits, waits for half a second; nothing for an hour, or not at all.
    const least = (id: string): number => (id === 'r' ? 250 : 450)
    expect(runs.filter(({ id }, n) => took[n]! < least(id)).map(({ id }) => id)).toEqual([])
    expect(starts.filter((name) => name === 'long')).toEqual(['long'])
    expect(starts.filter((name) => name === 'retried')).toHaveLength(2)
    expect(starts).toHaveLength(16 + 2 + 1 + 1)
    expect(await client.deadLetters.list()).toEqual([])
  },
)
