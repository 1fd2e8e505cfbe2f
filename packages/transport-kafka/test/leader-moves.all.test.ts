// Restoring a partition whose leader is killed at that moment: the next one has all that was committed, and may show less for a while.
import { systemClock } from '@tasks/core/adapter'
import { startKafkaCluster } from '@tasks/dev-config/brokers'
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { positionRecord, restore, rowRecord } from '../src/changelog'
import { parseUrl } from '../src/url'
import { newDriver } from './support/server'

const ROUNDS = 6
const COMMITS = 20
const PLACE = { topic: 'tasks.moves.changelog', partition: 0 }

test(
  'whoever restores has the last commit that was answered, whichever broker leads',
  async (ctx) => {
    const cluster = await startKafkaCluster({ brief: true })
    ctx.onTestFinished(() => cluster.stop())
    const config = parseUrl(cluster.url).client
    const admin = new kafkajs.Kafka({ ...config, logLevel: kafkajs.logLevel.NOTHING }).admin()
    await admin.connect()
    ctx.onTestFinished(() => admin.disconnect())
    const settings = { 'cleanup.policy': 'compact', 'min.insync.replicas': '2' }
    await newDriver(ctx, config).create([{ topic: PLACE.topic, partitions: 1, settings }], 3)
    const partition = async () => (await admin.fetchTopicMetadata({ topics: [PLACE.topic] })).topics[0]!.partitions[0]!

    let seq = 0
    for (let round = 0; round < ROUNDS; round++) {
      await expect.poll(async () => (await partition().catch(() => undefined))?.isr.length, { timeout: 90_000 }).toBe(3)
      const leader = cluster.servers[(await partition()).leader - 1]!
      const driver = newDriver(ctx, config)
      const owner = await driver.takeOver('tasks.moves.0')
      for (let i = 0; i < COMMITS; i++) {
        seq++
        const records = [rowRecord('e/a', Buffer.from(`${seq}`)), positionRecord({ seq, time: seq, epoch: 1 })]
        await owner.transact([{ ...PLACE, records }])
      }
      const next = newDriver(ctx, config)
      // It knows the cluster, and the leader that is about to go.
      await next.range(PLACE)
      const restoring = restore({ driver: next, clock: systemClock, place: PLACE, budget: 1_000_000 })
      leader.kill('SIGKILL')
      const { standing, rows } = await restoring.catch(() =>
        // Whoever cannot restore says so, and claims again.
        restore({ driver: next, clock: systemClock, place: PLACE, budget: 1_000_000 }),
      )
      expect(standing.seq).toBe(seq)
      const [row] = await rows.load(['e/a'])
      expect(String(row)).toBe(`${seq}`)
      // Now that another leads.
      const again = await restore({ driver: next, clock: systemClock, place: PLACE, budget: 0 })
      expect(again.standing.seq).toBe(seq)
      await leader.restart()
      owner.close()
    }
  },
  120_000 + ROUNDS * 90_000,
)
