import { PIPELINES, soak, type HarmName } from '@tasks/soak'
import { expect, test } from 'vitest'
import { redisTransport } from '../src/index'
import { proxyTo, urlOf } from './support/network'
import { newServer } from './support/server'

const IS_LONG = process.env['TASKS_TIER'] === 'all'
const QUICKLY: readonly HarmName[] = [
  'the server is killed and starts again',
  'the server is stopped for a while',
  'answers are lost',
  'a worker is stopped for longer than its lease',
  'the network is away, silently, for longer than a lease',
]
const ROUNDS = IS_LONG ? 60 : QUICKLY.length
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)

test(
  `pipelines end right, each task counted once and told, under kill -9 and SIGSTOP of server and workers, and a network that breaks, in ${ROUNDS} rounds`,
  async (ctx) => {
    const server = await newServer(ctx, { appendfsync: 'always' })
    const network = await proxyTo(server)
    const url = urlOf(network)
    const ended = await soak({
      server,
      network,
      place: { url, adapter: new URL('../src/index.ts', import.meta.url) },
      transport: redisTransport({ url }),
      rounds: ROUNDS,
      leaseMs: 1_000,
      seed: SEED,
      ...(!IS_LONG && { only: QUICKLY }),
    })
    expect(ended).toBe(ROUNDS * PIPELINES)
  },
  ROUNDS * 60_000,
)
