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
