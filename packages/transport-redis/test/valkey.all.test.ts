import { describeTransport } from '@tasks/conformance/vitest'
import { NoBroker, startRedis, type Server } from '@tasks/dev-config/brokers'
import { playOnReal } from '@tasks/simulation/real'
import { afterAll, expect, test } from 'vitest'
import { redisTransport } from '../src/index'
import { conformanceHarness } from './support/harness'

/** Not every distribution has its package: a skip, everywhere. */
function startValkey(): Promise<Server | NoBroker> {
  return startRedis({ program: process.env['TASKS_VALKEY_SERVER'] ?? 'valkey-server' }).catch((error: unknown) => {
    if (error instanceof NoBroker) return error
    throw error
  })
}

const server = await startValkey()
// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (server instanceof NoBroker) test('conforms on Valkey', (ctx) => ctx.skip(server.message))
else {
  describeTransport('valkey', await conformanceHarness(server))

  const { url, stop } = (await startValkey()) as Server
  afterAll(stop)
  test('random pipelines of the simulation come to what they must on Valkey', async () => {
    const seed = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)
    console.log(`TASKS_SEED=${seed}`)
    expect(await playOnReal({ connect: () => redisTransport({ url }), seed, programs: 100 })).toEqual([])
  }, 300_000)
}
