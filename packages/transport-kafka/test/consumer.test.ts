// What a consumer hands over of what it was given: not what is somebody else's by now.
import type { Clock } from '@tasks/core/adapter'
import { Lifetime, systemClock, TaskError } from '@tasks/core/adapter'
import { expect, onTestFinished, test } from 'vitest'
import { Consumer } from '../src/consumer'
import { Outbox } from '../src/outbox'
import { QueueLog } from '../src/queue-log'
import { decodeQueueRecord, encodeQueueRecord } from '../src/queue-record'
import { Topics } from '../src/topics'
import { CutLog } from './support/cut-log'

const LEASE_MS = 60_000

function newConsumer(log: CutLog, name: string, clock: Clock = systemClock) {
  const { driver, follower } = log.driver()
  const lifetime = new Lifetime(systemClock)
  onTestFinished(() => lifetime.end(new TaskError('TASKS_CLOSED', 'the test is over')))
  const shared = { driver, lifetime, clock }
  const queue = new QueueLog({ ...shared, place: log.place })
  const outbox = new Outbox(driver, new Topics('test', 'test'), 1)
  const consumer = new Consumer(
    { ...shared, outbox, check: () => {}, deadTopic: 'dead', name, logsOf: () => [queue], onClose: () => {} },
    { queues: ['q'], leaseMs: LEASE_MS },
  )
  const receive = async (waitMs: number) => {
    const leases = await consumer.receive({ max: 10, waitMs, suspects: true })
    return leases.map(({ id }) => id)
  }
  return { receive, queue, follower }
}

const send = (log: CutLog, id: string): number =>
  log.append(encodeQueueRecord([], [{ queue: 'q', priority: 0, id, body: Buffer.from(id) }]))

test('what is given by a lease that is over when it is read is run by whoever has it now, and by nobody else', async () => {
  const log = new CutLog()
  log.time = Date.now()
  let passed = 0
  const slow = newConsumer(log, 'slow')
  const quick = newConsumer(log, 'quick', { ...systemClock, now: () => Date.now() + passed })
  const pass = (): void => {
    passed += LEASE_MS
    log.time = Date.now() + passed
  }
  const waiting = slow.receive(2_000)
  await expect.poll(() => log.all.length).toBe(1)
  const standing = slow.follower()
  standing.isHeld = true
  send(log, 'one')
  expect(await quick.receive(0)).toEqual([])
  // All of its lease goes by, and others want it meanwhile.
  pass()
  expect(await quick.receive(0)).toEqual([])
  pass()
  expect(await quick.receive(0)).toEqual(['one'])
  log.release(standing)
  expect(await waiting).toEqual([])
})

test('what is read late, and may be over, is kept first: it is run if that has held', async () => {
  const log = new CutLog()
  log.time = Date.now()
  let away = 0
  const slow = newConsumer(log, 'slow', { ...systemClock, now: () => Date.now() + away })
  const waiting = slow.receive(20_000)
  await expect.poll(() => log.all.length).toBe(1)
  const standing = slow.follower()
  standing.isHeld = true
  send(log, 'one')
  away = LEASE_MS
  log.release(standing)
  expect(await waiting).toEqual(['one'])
  expect(log.all.flatMap(({ value }) => decodeQueueRecord(value!).sayings.map(({ op }) => op))).toEqual([
    'want',
    'keep',
  ])
})

test('a consumer whose clock is behind is given what comes all the same: it learns the time by its first want, which is void', async () => {
  const log = new CutLog()
  log.time = Date.now()
  const behind = newConsumer(log, 'behind', { ...systemClock, now: () => Date.now() - 60 * LEASE_MS })
  const waiting = behind.receive(20_000)
  await expect.poll(() => log.all.length).toBe(2)
  send(log, 'one')
  expect(await waiting).toEqual(['one'])
})
