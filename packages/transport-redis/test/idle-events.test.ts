// A log of events to which nothing is added any more.
import type { Send, Space } from '@tasks/core'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

const KEY = '{tasks:idle}:p0:events'

function event(id: string): Send {
  return { target: { to: 'events', partition: 0 }, id, body: Buffer.from(id) }
}

async function idsAfter(space: Space, position: string | undefined) {
  const [page] = await space.events.read({ after: new Map([[0, position]]), max: 10, waitMs: 10_000 })
  return { ids: page!.events.map(({ id }) => id), gap: page!.gap, position: page!.position }
}

test('expires as a whole, and goes on where it was', async (ctx) => {
  const server = await newServer(ctx)
  const onServer = new Redis(server.url)
  onTestFinished(() => onServer.disconnect())
  const transport = redisTransport({ url: server.url })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'idle', partitions: 1, retention: { maxAgeMs: 250 } })
  await space.send([event('a'), event('b')])
  const first = await idsAfter(space, undefined)
  expect(first).toMatchObject({ ids: ['a', 'b'], gap: false })
  // What is younger than that stays, whenever the log began.
  expect(await onServer.pttl(KEY)).toBeGreaterThan(0)
  await expect.poll(() => onServer.exists(KEY), { timeout: 30_000 }).toBe(0)

  const [end] = await space.events.positions()
  expect(end).toBe(first.position)
  await space.send([event('c')])
  expect(await idsAfter(space, end)).toMatchObject({ ids: ['c'], gap: false })
  expect(await idsAfter(space, '0-0')).toMatchObject({ ids: ['c'], gap: true })
  expect(await onServer.hget('{tasks:idle}:p0', 'eventBytes')).toBe('1')
  expect(await onServer.pttl(KEY)).toBeGreaterThan(0)
})
