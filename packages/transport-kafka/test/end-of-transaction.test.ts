// The end of a transaction, on its way to the broker and back: what becomes of a commit that nobody has heard of.
import { own } from '@tasks/conformance/vitest'
import { expect, test } from 'vitest'
import { parseUrl } from '../src/url'
import { bench, received, toTask } from './support/bench'
import { newDriver, sharedBroker } from './support/server'

const END_TXN = 26

/** Whether something that is sent begins with a request of this kind. */
function isRequest(api: number): (data: Buffer) => boolean {
  return (data) => data.length > 6 && data.readInt16BE(4) === api
}

const COMMIT = { seq: 1, time: 1, rows: new Map([['e/a', Buffer.from('x')]]), sends: [toTask('once')] }

// They wait for leases, and do so at the same time.
test.concurrent('a commit whose end was not answered is called unknown, and the next owner finds it whole', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space, 2_000, ctx)
  const sprung = proxy.trap(isRequest(END_TXN), 'unanswered')
  const committed = session.commit(COMMIT)
  committed.catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE', details: { applied: 'unknown' } })
  const { session: next } = await own(other, undefined, ctx)
  expect(next.seq).toBe(1)
  expect(String((await next.load(['e/a']))[0])).toBe('x')
  expect(await received(other)).toEqual(['once'])
}, 60_000)

test.concurrent('a commit whose end never arrived is undone by the next owner, and nothing of it is seen', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space, 2_000, ctx)
  const sprung = proxy.trap(isRequest(END_TXN), 'lost')
  const committed = session.commit(COMMIT)
  committed.catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await expect(committed).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  const { session: next } = await own(other, undefined, ctx)
  expect(next.seq).toBe(0)
  expect(await next.load(['e/a'])).toEqual([undefined])
  expect(await received(other)).toEqual([])
  await next.commit(COMMIT)
  expect(await received(other)).toEqual(['once'])
}, 60_000)

test.concurrent('whoever takes over a transactional id ends the transaction of the one before, and all its later ones', async (ctx) => {
  const { namespace } = await bench(ctx)
  const driver = newDriver(ctx, parseUrl(sharedBroker(ctx).url).client)
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
  // The broker answers the end of a transaction before it can be read.
  const stored = async (): Promise<string[]> => {
    const { records } = await driver.read({ topic: `tasks.${namespace}.changelog`, partition: 0 }, 0)
    return records.map(({ value }) => String(value))
  }
  await expect.poll(stored, { timeout: 10_000 }).toEqual(['first', 'second'])
})

test.concurrent('lone tasks pass while an owner is stopped inside of a transaction, and what it holds up comes when it is relieved', async (ctx) => {
  const { proxy, space, other } = await bench(ctx)
  const { session } = await own(space, 2_000, ctx)
  // The end is lost on its way, and the network with it: the transaction stays open.
  const sprung = proxy.trap(isRequest(END_TXN), 'lost')
  session.commit({ ...COMMIT, sends: [toTask('never')] }).catch(() => {})
  await sprung
  proxy.refuse()
  proxy.cut()
  await other.send([toTask('lone')])
  expect(await received(other, 5_000)).toEqual(['lone'])
  const { session: next } = await own(other, undefined, ctx)
  await next.commit({ ...COMMIT, sends: [toTask('committed')] })
  expect(await received(other, 10_000)).toEqual(['committed'])
}, 60_000)
