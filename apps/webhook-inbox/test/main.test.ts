import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@tasks/dev-config/brokers'
import { newServer } from '@tasks/dev-config/brokers/in-tests'
import { startProgram } from '@tasks/dev-config/program'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'

const patience = { timeout: 45_000, interval: 50 }
const headers = { authorization: 'Bearer hook' }

test('loses no message and counts none twice, also when it is killed with messages in its hands', async (ctx) => {
  const server = await newServer(ctx, () => startRedis({ appendfsync: 'off' }))
  const redis = new Redis(server.url)
  const folder = mkdtempSync(join(tmpdir(), 'webhooks-test-'))
  onTestFinished(() => {
    redis.disconnect()
    rmSync(folder, { recursive: true, force: true })
  })
  const start = () =>
    startProgram({
      main: fileURLToPath(new URL('../src/main.ts', import.meta.url)),
      args: ['--redis', server.url, '--transport', `sqlite:${join(folder, 'tasks.db')}`],
      env: { WEBHOOK_SECRET: 'hook' },
      ready: /http:\/\/127\.0\.0\.1:\d+/,
    })
  const post = async (url: string, webhook: unknown, by: Record<string, string> = headers) =>
    (await fetch(`${url}/webhooks`, { method: 'POST', headers: by, body: JSON.stringify(webhook) })).status
  const ids: string[] = []
  const place = (): string => {
    const id = `order-${ids.length}`
    ids.push(id)
    return JSON.stringify({ type: 'order.placed', order: { id, item: id } })
  }

  const first = await start()
  for (const stranger of [{}, null, { type: 'order.placed', order: {} }])
    expect(await post(first.ready, stranger)).toBe(400)
  expect(await post(first.ready, JSON.parse(place()), {})).toBe(401)
  expect((await fetch(`${first.ready}/orders/order-0`)).status).toBe(401)
  ids.pop()
  for (let i = 0; i < 5; i++) expect(await post(first.ready, JSON.parse(place()))).toBe(202)
  // It is stopped at a time when it has taken some and not acknowledged them, and then never goes on.
  await vi.waitFor(async () => {
    await redis.rpush('webhooks', ...Array.from({ length: 5 }, place))
    await vi.waitFor(async () => expect(await redis.hlen('webhooks:taken')).toBeGreaterThan(0), 1_000)
    first.signal('SIGSTOP')
    // What it had sent before that has been read by the second of these.
    await redis.ping()
    await redis.ping()
    const inHand = await redis.hlen('webhooks:taken')
    if (inHand === 0) first.signal('SIGCONT')
    expect(inHand).toBeGreaterThan(0)
  }, patience)
  await first.kill()

  const second = await start()
  for (const orderId of ids)
    expect(await post(second.ready, { type: 'order.paid', orderId, payment: { amount: 1 } })).toBe(202)
  for (const id of ids)
    await vi.waitFor(async () => {
      const order = await (await fetch(`${second.ready}/orders/${id}`, { headers })).json()
      expect(order).toEqual({ status: 'COMPLETED', result: `${id} shipped for 1` })
    }, patience)
  // A parcel may be sent again where it is not known whether it was: under the same key. Another key is another parcel.
  const parcels = second.said.split('\n').filter((line) => line.startsWith('order-'))
  expect([...new Set(parcels)].sort()).toHaveLength(ids.length)
  await vi.waitFor(async () => expect(await redis.hlen('webhooks:taken')).toBe(0), patience)
  expect(await redis.exists('webhooks', 'webhooks:bad')).toBe(0)
}, 120_000)
