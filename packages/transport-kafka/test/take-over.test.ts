import { takeOver } from '@tasks/soak'
import { test } from 'vitest'
import { kafkaTransport } from '../src/index'
import { newNamespace, sharedBroker } from './support/server'

// oxlint-disable-next-line vitest/expect-expect -- takeOver asserts
test('the partitions of a process of this machine that was killed are taken over long before its leases run out', async (ctx) => {
  // The namespace is that of the soak's tasks: its topics are told from others by their prefix.
  const url = `${sharedBroker(ctx).url}?prefix=${newNamespace()}`
  await takeOver({ url, adapter: new URL('../src/index.ts', import.meta.url) }, kafkaTransport({ url }))
}, 60_000)
