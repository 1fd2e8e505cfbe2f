import { PIPELINES, soak } from '@tasks/soak'
import { expect, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

const ROUNDS = process.env['TASKS_TIER'] === 'all' ? 60 : 4
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)

test(
  `pipelines end right, each task counted once and told, under kill -9 and SIGSTOP of server and workers, in ${ROUNDS} rounds`,
  async (ctx) => {
    const server = await newServer(ctx, { appendfsync: 'always' })
    const ended = await soak({
      server,
      place: { url: server.url, adapter: new URL('../src/index.ts', import.meta.url) },
      transport: redisTransport({ url: server.url }),
      rounds: ROUNDS,
      leaseMs: 1_000,
      seed: SEED,
    })
    expect(ended).toBe(ROUNDS * PIPELINES)
  },
  ROUNDS * 60_000,
)
