// The end of a transaction, on its way to the broker and back: what becomes of a commit that nobody has heard of.
import { own } from '@tasks/conformance/vitest'
import { systemClock } from '@tasks/core/adapter'
import { startKafka, type Server } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import type { TestContext } from 'vitest'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import type { KafkaDriver } from '../src/driver'
import { kafkajsDriver } from '../src/kafkajs/driver'
import { parseUrl } from '../src/url'
import { bench, received, toTask } from './support/bench'

const server = await serverOrReason(() => startKafka({ brief: true }))
afterAll(async () => {
  if (typeof server !== 'string') await server.stop()
})

function started(ctx: TestContext): Server {
  return typeof server === 'string' ? ctx.skip(server) : server
}

function driverOn(ctx: TestContext): KafkaDriver {
  const { client } = parseUrl(started(ctx).url)
  const driver = kafkajsDriver({ client, clock: systemClock, patienceMs: 10_000, onLog: () => {} })
  onTestFinished(() => driver.close())
  return driver
}

const END_TXN = 26

/** Whether something that is sent begins with a request of this kind. */
function isRequest(api: number): (data: Buffer) => boolean {
  return (data) => data.length > 6 && data.readInt16BE(4) === api
}

const COMMIT = { seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('x')]]), sends: [toTask('once')] }

test('a commit whose end was not answered is called unknown, and the next owner finds it whole', async (ctx) => {
  const { proxy, space, other } = await bench(started(ctx))
  const { session } = await own(space, 2_000)
  const sprung = proxy.trap(isRequest(END_TXN), 'unanswered')
  const committed = session.commit(COMMIT)
  committed.catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE', details: { applied: 'unknown' } })
  const { session: next } = await own(other)
  expect(next.seq).toBe(1)
  expect(String((await next.load(['e/a']))[0])).toBe('x')
  expect(await received(other)).toEqual(['once'])
}, 60_000)

test('a commit whose end never arrived is undone by the next owner, and nothing of it is seen', async (ctx) => {
  const { proxy, space, other } = await bench(started(ctx))
  const { session } = await own(space, 2_000)
  const sprung = proxy.trap(isRequest(END_TXN), 'lost')
  const committed = session.commit(COMMIT)
  committed.catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  const { session: next } = await own(other)
  expect(next.seq).toBe(0)
  expect(await next.load(['e/a'])).toEqual([undefined])
  expect(await received(other)).toEqual([])
  await next.commit(COMMIT)
  expect(await received(other)).toEqual(['once'])
}, 60_000)

test('whoever takes over a transactional id ends the transaction of the one before, and all its later ones', async (ctx) => {
  const { namespace } = await bench(started(ctx))
  const driver = driverOn(ctx)
  const batch = (text: string) => ({
    topic: `tasks.${namespace}.changelog`,
    partition: 0,
    records: [{ key: Buffer.from('r'), value: Buffer.from(text) }],
  })
  const zombie = await driver.takeOver('tasks.zombie')
  await zombie.transact([batch('first')])
  const owner = await driver.takeOver('tasks.zombie')
  await expect(zombie.transact([batch('zombie')])).rejects.toMatchObject({ code: 'TASKS_FENCED' })
  await owner.transact([batch('second')])
  const { records } = await driver.read({ topic: `tasks.${namespace}.changelog`, partition: 0 }, 0)
  expect(records.map(({ value }) => String(value))).toEqual(['first', 'second'])
})

test('lone tasks pass while an owner is stopped inside of a transaction, and what it holds up comes when it is relieved', async (ctx) => {
  const { proxy, space, other } = await bench(started(ctx))
  const { session } = await own(space, 2_000)
  // The end is lost on its way, and the network with it: the transaction stays open.
  const sprung = proxy.trap(isRequest(END_TXN), 'lost')
  session.commit({ ...COMMIT, sends: [toTask('never')] }).catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await other.send([toTask('lone')])
  expect(await received(other, 5_000)).toEqual(['lone'])
  const { session: next } = await own(other)
  await next.commit({ ...COMMIT, sends: [toTask('committed')] })
  expect(await received(other, 10_000)).toEqual(['committed'])
}, 60_000)
