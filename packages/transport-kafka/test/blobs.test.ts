import { expect, test } from 'vitest'
import type { KafkaDriver } from '../src/driver'
import { transportOn } from '../src/transport'
import { parseUrl } from '../src/url'
import { boundTo, newDriver, newNamespace, sharedBroker } from './support/server'

test('a page that a broker has stored twice is found once compaction has removed the one that is known', async (ctx) => {
  const { url } = sharedBroker(ctx)
  const namespace = newNamespace()
  const driver = newDriver(ctx, parseUrl(url).client)
  const place = { topic: `tasks.${namespace}.blobs`, partition: 0 }
  let compacted = false
  const read: KafkaDriver['read'] = async (from, offset) => {
    const chunk = await driver.read(from, offset)
    if (!compacted || from.topic !== place.topic) return chunk
    return { ...chunk, records: chunk.records.filter((record) => record.offset > 0) }
  }
  const { blobs } = await transportOn({ driver: { ...boundTo(driver), read } }).open({ namespace, partitions: 1 })
  const page = Buffer.from('the page')
  await blobs.put('blob', 0, page)
  // A send that was late: the same record again, behind others.
  const [stored] = (await driver.read(place, 0)).records
  for (const key of [Buffer.from('0/other'), stored!.key])
    await driver.produce([{ ...place, records: [{ key, value: page }] }])
  compacted = true

  expect(await blobs.get('blob', 0)).toEqual(page)
  // From now on it is known where it is.
  const pointers = async () => (await driver.read({ topic: `tasks.${namespace}.blob-index`, partition: 0 }, 0)).records
  expect((await pointers()).map(({ value }) => JSON.parse(String(value)) as unknown)).toEqual([
    [0, 0],
    [0, 2],
  ])
  await blobs.drop('blob')
  expect(await blobs.get('blob', 0)).toBeUndefined()
}, 60_000)
