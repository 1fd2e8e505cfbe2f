import { expect, test } from 'vitest'
import type { Chunk } from '../src/driver'
import { parseUrl } from '../src/url'
import { newDriver, newNamespace, sharedBroker } from './support/server'

test('several may follow one place from different offsets, and each is given all that comes there', async (ctx) => {
  const driver = newDriver(ctx, parseUrl(sharedBroker(ctx).url).client)
  const place = { topic: newNamespace(), partition: 0 }
  await driver.create([{ topic: place.topic, partitions: 1, settings: {} }], 1)
  const store = (from: number, to: number) =>
    driver.produce(
      Array.from({ length: to - from }, (_, i) => ({
        ...place,
        records: [{ key: null, value: Buffer.from(`${from + i}`) }],
      })),
    )
  await store(0, 10)
  const seen: Record<number, string[]> = { 3: [], 0: [], 8: [] }
  for (const from of [3, 0, 8])
    driver.follow(place, from, ({ records }: Chunk) => seen[from]!.push(...records.map(({ value }) => String(value))))
  await store(10, 12)
  const wanted = (from: number): string[] => Array.from({ length: 12 - from }, (_, i) => `${from + i}`)
  await expect.poll(() => seen, { timeout: 20_000 }).toEqual({ 3: wanted(3), 0: wanted(0), 8: wanted(8) })
})

test('a follower that falls behind the start of a log is told where it goes on', async (ctx) => {
  const driver = newDriver(ctx, parseUrl(sharedBroker(ctx).url).client)
  const place = { topic: newNamespace(), partition: 0 }
  await driver.create([{ topic: place.topic, partitions: 1, settings: {} }], 1)
  const records = Array.from({ length: 10 }, (_, i) => ({ key: null, value: Buffer.from(`${i}`) }))
  await driver.produce([{ ...place, records }])
  await driver.truncate(place, 7)
  const seen: (readonly [from: number, values: readonly string[]])[] = []
  driver.follow(place, 2, (chunk) => seen.push([chunk.from, chunk.records.map(({ value }) => String(value))]))
  await expect.poll(() => seen, { timeout: 20_000 }).toEqual([[7, ['7', '8', '9']]])
})

test('who throws at what it is given is given it again, and the others meanwhile go on', async (ctx) => {
  const driver = newDriver(ctx, parseUrl(sharedBroker(ctx).url).client)
  const topic = newNamespace()
  await driver.create([{ topic, partitions: 2, settings: {} }], 1)
  const places = [0, 1].map((partition) => ({ topic, partition }))
  await driver.produce(places.map((place) => ({ ...place, records: [{ key: null, value: Buffer.from('a') }] })))
  let refusals = 0
  const seen: string[] = []
  driver.follow(places[0]!, 0, ({ records }) => {
    if (refusals++ < 2) throw new Error('not now')
    seen.push(...records.map(({ value }) => `0${String(value)}`))
  })
  driver.follow(places[1]!, 0, ({ records }) => seen.push(...records.map(({ value }) => `1${String(value)}`)))
  await expect.poll(() => seen, { timeout: 20_000 }).toEqual(['1a', '0a'])
})
