// A partition whose rows take longer to read than a lease lasts.
import { own } from '@tasks/conformance/vitest'
import { systemClock } from '@tasks/core/adapter'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { KafkaDriver, Place } from '../src/driver'
import { transportOn } from '../src/transport'
import { parseUrl } from '../src/url'
import { boundTo, newDriver, newNamespace, sharedBroker } from './support/server'

const LEASE_MS = 1_500
const COMMITS = 15
const READ_MS = 250

/** Reads changelogs a record at a time, and slowly. */
function slow(driver: KafkaDriver): { readonly driver: KafkaDriver; readonly restores: () => number } {
  let restores = 0
  const read: KafkaDriver['read'] = async (place: Place, from) => {
    const chunk = await driver.read(place, from)
    if (!place.topic.endsWith('.changelog')) return chunk
    if (from === 0) restores++
    await sleep(READ_MS)
    const [first] = chunk.records
    return first === undefined ? chunk : { ...chunk, records: [first], next: first.offset + 1 }
  }
  return { driver: { ...boundTo(driver), read }, restores: () => restores }
}

test('is read once, by one host, whose claim lasts meanwhile', async (ctx) => {
  const config = parseUrl(sharedBroker(ctx).url).client
  const namespace = newNamespace()
  const open = (driver: KafkaDriver) => transportOn({ driver, clock: systemClock }).open({ namespace, partitions: 1 })
  const first = await own(await open(newDriver(ctx, config)), 20_000, ctx)
  for (let seq = 1; seq <= COMMITS; seq++)
    await first.session.commit({ seq, time: seq, rows: new Map([['e/a', Buffer.from(`${seq}`)]]), sends: [] })
  await first.end()

  const hosts = [slow(newDriver(ctx, config)), slow(newDriver(ctx, config))]
  const owning = hosts.map(async ({ driver }) => own(await open(driver), LEASE_MS, ctx))
  const { session } = await Promise.race(owning)
  expect(session.seq).toBe(COMMITS)
  expect(hosts.map(({ restores }) => restores()).sort()).toEqual([0, 1])
  await session.commit({ seq: COMMITS + 1, time: COMMITS + 1, rows: new Map(), sends: [] })
}, 90_000)
