import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@tasks/dev-config/brokers'
import { newServer } from '@tasks/dev-config/brokers/in-tests'
import { startProgram } from '@tasks/dev-config/program'
import { expect, onTestFinished, test, vi } from 'vitest'

const patience = { timeout: 45_000, interval: 50 }

test('loses no message and counts none twice, also when it is killed', async (ctx) => {
  const redis = await newServer(ctx, () => startRedis({ appendfsync: 'off' }))
  const folder = mkdtempSync(join(tmpdir(), 'webhooks-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const start = () =>
    startProgram({
      main: fileURLToPath(new URL('../src/main.ts', import.meta.url)),
      args: ['--redis', redis.url, '--transport', `sqlite:${join(folder, 'tasks.db')}`],
      env: { WEBHOOK_SECRET: 'hook' },
      ready: /http:\/\/127\.0\.0\.1:\d+/,
    })
  const ids = Array.from({ length: 10 }, (_, i) => `order-${i}`)
  const say = async (url: string, webhook: object) =>
    expect((await fetch(`${url}/webhooks/hook`, { method: 'POST', body: JSON.stringify(webhook) })).status).toBe(202)

  const first = await start()
  for (const id of ids) await say(first.ready, { type: 'order.placed', order: { id, item: id } })
  // It dies with messages in its hands.
  await first.kill()
  const second = await start()
  for (const orderId of ids) await say(second.ready, { type: 'order.paid', orderId, payment: { amount: 1 } })
  for (const id of ids)
    await vi.waitFor(async () => {
      const order = await (await fetch(`${second.ready}/orders/${id}`)).json()
      expect(order).toEqual({ status: 'COMPLETED', result: `${id} shipped for 1` })
    }, patience)
  expect((await fetch(`${second.ready}/webhooks/another`, { method: 'POST', body: '{}' })).status).toBe(404)
})
