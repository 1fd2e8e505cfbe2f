// Three brokers, three replicas of which two must have what counts: one of them may be killed at any time.
import { startKafkaCluster } from '@tasks/dev-config/brokers'
import { PIPELINES, soak } from '@tasks/soak'
import { expect, onTestFinished, test } from 'vitest'
import { kafkaTransport } from '../src/index'

const ROUNDS = 3
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)

test(
  'pipelines end right on three brokers of which one after the other is killed',
  async () => {
    const cluster = await startKafkaCluster({ brief: true })
    onTestFinished(() => cluster.stop())
    const transport = kafkaTransport({ url: cluster.url, patienceMs: 20_000 })
    let turn = 0
    const ended = await soak({
      // Another one each time.
      server: {
        ...cluster.servers[0]!,
        kill: (signal) => cluster.servers[turn % cluster.servers.length]!.kill(signal),
        restart: () => cluster.servers[turn++ % cluster.servers.length]!.restart(),
      },
      place: { url: cluster.url, adapter: new URL('../src/index.ts', import.meta.url) },
      transport,
      rounds: ROUNDS,
      leaseMs: 3_000,
      seed: SEED,
      only: [
        'the server is killed and starts again',
        'the server is killed and starts again',
        'the workers and the server are killed',
      ],
    })
    expect(ended).toBe(ROUNDS * PIPELINES)
    expect(transport.capabilities).toMatchObject({
      durability: 'replicated',
      server: 'Kafka, 3 brokers, 3 replicas, min.insync.replicas 2',
    })
  },
  120_000 + ROUNDS * 90_000,
)
