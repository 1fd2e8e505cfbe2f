// One program, by one configuration string on each of the five: what it comes to is the same, failures included.
import { createClient, createTasks, inParallel, startWorker, type Pipeline } from '@tasks/core'
import { startKafka, startNats, startRedis } from '@tasks/dev-config/brokers'
import { newServer } from '@tasks/dev-config/brokers/in-tests'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { portfolioRisk, tasks as stocks } from '../src/tasks'

const tasks = createTasks({ namespace: 'five' })
const half = tasks.bind('half', (n: number) => {
  if (n % 2 === 1) throw new RangeError(`${n} has no half`)
  return n / 2
})
const sum = tasks.bind('sum', (numbers: number[]) => numbers.reduce((total, n) => total + n, 0))
const excuse = tasks.bind('excuse', (error: { readonly message: string }) => error.message.length)
const large = tasks.bind('large', (size: number) => 'x'.repeat(size))
const lengthOf = tasks.bind('lengthOf', (text: string) => text.length)
const fanOut = tasks.bind('fanOut', (count: number): Pipeline<number, void> =>
  inParallel(
    Array.from({ length: count }, (_, n) =>
      half
        .send(2 * n)
        .continueWith(half)
        .exceptionally(excuse),
    ),
  ).continueWith(sum),
)

/** What everything comes to: a result, or the code and message of its failure. */
async function outcomesOn(transport: string): Promise<unknown> {
  const workers = [
    await startWorker({ tasks, transport, partitions: 4 }),
    await startWorker({ tasks: stocks, transport, partitions: 4 }),
  ]
  const client = createClient({ namespace: 'five', transport })
  const market = createClient({ namespace: 'stocks', transport })
  try {
    const runs = [
      await market.submit(portfolioRisk, ['MSFT', 'AMZN', 'IBM', 'GOOG', 'AAPL']),
      await client.submit(half.send(10).continueWith(half)),
      await client.submit(fanOut.send(50)),
      await client.submit(inParallel([half.send(4), half.send(3)], { returnExceptions: false }).continueWith(sum)),
      await client.submit(large.send(3_000_000).continueWith(lengthOf)),
    ]
    return await Promise.all(
      runs.map((run) =>
        run.result({ timeoutMs: 60_000 }).then(
          (result: unknown) => ({ result }),
          ({ code, message }: { readonly code: string; readonly message: string }) => ({ code, message }),
        ),
      ),
    )
  } finally {
    await Promise.all([client.close(), market.close()])
    for (const worker of workers) await worker.close()
  }
}

test('a program comes to the same on memory, SQLite, Redis, NATS and Kafka', async (ctx) => {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-five-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const servers = await Promise.all([
    newServer(ctx, () => startRedis()),
    newServer(ctx, () => startNats()),
    newServer(ctx, () => startKafka({ brief: true })),
  ])
  const expected = await outcomesOn('memory:five')
  expect(expected).toMatchObject([
    { result: expect.closeTo(49.29, 2) },
    { code: 'TASKS_TASK_FAILED' },
    { result: expect.any(Number) },
    { code: expect.any(String) },
    { result: 3_000_000 },
  ])
  for (const transport of [`sqlite:${join(folder, 'five.db')}`, ...servers.map(({ url }) => url)])
    expect({ transport, outcomes: await outcomesOn(transport) }).toEqual({ transport, outcomes: expected })
}, 180_000)
