// What goes wrong between a client and a broker, each through a network that does it on purpose.
import { own } from '@tasks/conformance/vitest'
import { expect, test } from 'vitest'
import { bench, received, toTask } from './support/bench'

test('a send is made again until it is answered, and its repeats are the receiver’s to know', async (ctx) => {
  const { proxy, space, other, namespace } = await bench(ctx, 10_000)
  await space.send([toTask('before')])
  const sprung = proxy.trap(`tasks.${namespace}`, 'unanswered')
  expect(await space.send([toTask('again')])).toEqual([{ ok: true }])
  await sprung
  expect(new Set(await received(other))).toEqual(new Set(['before', 'again']))
})

test('what cannot reach a broker says so when its patience is over, and is certain of it', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 500)
  proxy.refuse()
  proxy.cut()
  const [outcome] = await space.send([toTask('never')])
  expect(outcome).toMatchObject({ ok: false, error: { code: 'TASKS_UNAVAILABLE' } })
  proxy.accept()
  await expect.poll(async () => (await space.send([toTask('now')]))[0]!.ok, { timeout: 10_000 }).toBe(true)
  expect(await received(other)).toContain('now')
})

test('a connection that is cut again and again loses nothing', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 20_000)
  const consumer = other.consume({ queues: ['q'], leaseMs: 60_000 })
  const cutting = setInterval(() => proxy.cut(), 40)
  ctx.onTestFinished(() => clearInterval(cutting))
  for (let i = 0; i < 30; i++) expect(await space.send([toTask(`t${i}`)])).toEqual([{ ok: true }])
  clearInterval(cutting)
  const seen = new Set<string>()
  await expect
    .poll(
      async () => {
        for (const { id } of await consumer.receive({ max: 100, waitMs: 100, suspects: true })) seen.add(id)
        return seen.size
      },
      { timeout: 20_000 },
    )
    .toBe(30)
}, 90_000)

test('a receive and a poll that wait hear of what came while the other end was gone without a word', async (ctx) => {
  const { proxy, space, other } = await bench(ctx, 2_000)
  const { session } = await own(space)
  const consumer = space.consume({ queues: ['q'], leaseMs: 60_000 })
  const receiving = consumer.receive({ max: 10, waitMs: 40_000, suspects: false })
  const polling = session.poll({ max: 10, waitMs: 40_000 })
  await other.send([toTask('warm-up')])
  expect((await receiving).map(({ id }) => id)).toEqual(['warm-up'])
  proxy.hang()
  const again = consumer.receive({ max: 10, waitMs: 40_000, suspects: false })
  await other.send([toTask('a'), { target: { to: 'inbox', partition: 0 }, id: 'i', body: Buffer.from('i') }])
  expect((await polling).map(({ id }) => id)).toEqual(['i'])
  expect((await again).map(({ id }) => id)).toEqual(['a'])
}, 90_000)
