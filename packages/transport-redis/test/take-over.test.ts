import { takeOver } from '@tasks/soak'
import { test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

// oxlint-disable-next-line vitest/expect-expect -- takeOver asserts
test('the partitions of a process that was killed are taken over long before its leases run out', async (ctx) => {
  const server = await newServer(ctx)
  const place = { url: server.url, adapter: new URL('../src/index.ts', import.meta.url) }
  await takeOver(place, redisTransport({ url: server.url }))
}, 60_000)
