import { Proxy } from '@tasks/dev-config/brokers/proxy'
import { PIPELINES, soak } from '@tasks/soak'
import { expect, onTestFinished, test } from 'vitest'
import { natsTransport } from '../src/index'
import { newServer, VERSION } from './support/server'

const IS_LONG = process.env['TASKS_TIER'] === 'all'
const ROUNDS = !IS_LONG ? 1 : VERSION === undefined ? 30 : 6
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)

test(
  `pipelines end right, each task counted once, under kill -9 and SIGSTOP of server and workers, and a network that breaks, in ${ROUNDS} rounds`,
  async (ctx) => {
    const server = await newServer(ctx)
    const network = await Proxy.to(server.port)
    onTestFinished(() => network.close())
    const url = `nats://127.0.0.1:${network.port}`
    const ended = await soak({
      server,
      network,
      place: { url, adapter: new URL('../src/index.ts', import.meta.url) },
      transport: natsTransport({ url }),
      rounds: ROUNDS,
      leaseMs: 1_000,
      seed: SEED,
      ...(!IS_LONG && { only: ['the workers and the server are killed'] }),
    })
    expect(ended).toBe(ROUNDS * PIPELINES)
  },
  // Longer than what the soak waits for, so that it can say what did not come.
  180_000 + ROUNDS * 60_000,
)
