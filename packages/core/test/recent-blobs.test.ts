import { expect, onTestFinished, test } from 'vitest'
import { memoryTransport } from '../src/memory'
import { inParallel } from '../src/pipeline'
import { withRecentBlobs } from '../src/recent-blobs'
import type { Space } from '../src/transport'
import { PATIENCE_MS, system } from './support/system'

const MIB = 1 << 20

/** A space that keeps what it stores, and the store itself, whose reads are counted. */
async function open(): Promise<{ space: Space; store: Space; reads: string[] }> {
  const transport = memoryTransport()
  onTestFinished(() => transport.close())
  const store = await transport.open({ namespace: 'blobs' })
  const reads: string[] = []
  const { get } = store.blobs
  store.blobs.get = (key, page) => {
    reads.push(`${key} ${page}`)
    return get.call(store.blobs, key, page)
  }
  return { space: withRecentBlobs(store), store, reads }
}

test('what was stored is read once without the store, which has it too', async () => {
  const { space, store, reads } = await open()
  await space.blobs.put('a/b', 0, Buffer.from('one'))
  await space.blobs.put('a/b', 1, Buffer.from('two'))
  expect(Buffer.from((await space.blobs.get('a/b', 1))!).toString()).toBe('two')
  expect(reads).toEqual([])
  expect(Buffer.from((await space.blobs.get('a/b', 1))!).toString()).toBe('two')
  expect(Buffer.from((await store.blobs.get('a/b', 0))!).toString()).toBe('one')
  expect(reads).toEqual(['a/b 1', 'a/b 0'])
})

test('what is dropped is not kept', async () => {
  const { space } = await open()
  await space.blobs.put('a/b', 0, Buffer.from('one'))
  await space.blobs.put('ab/c', 0, Buffer.from('other'))
  await space.blobs.drop('a/')
  expect(await space.blobs.get('a/b', 0)).toBeUndefined()
  expect(Buffer.from((await space.blobs.get('ab/c', 0))!).toString()).toBe('other')
})

test('what could not be stored is not kept', async () => {
  const { space, store } = await open()
  store.blobs.put = () => Promise.reject(new Error('the store is away'))
  await expect(space.blobs.put('a/b', 0, Buffer.from('one'))).rejects.toThrow('the store is away')
  expect(await space.blobs.get('a/b', 0)).toBeUndefined()
})

test('what the caller does with the bytes behind it changes nothing, and a part of a value does not keep all of it', async () => {
  const { space } = await open()
  const value = Buffer.from('onetwo')
  await space.blobs.put('a/b', 0, value.subarray(3))
  value.fill(0)
  const kept = (await space.blobs.get('a/b', 0))!
  expect(Buffer.from(kept).toString()).toBe('two')
  expect(kept.buffer.byteLength).toBe(3)
})

test('the latest 16 MiB are kept', async () => {
  const { space, reads } = await open()
  await space.blobs.put('a/b', 0, Buffer.alloc(MIB))
  for (let page = 0; page < 17; page++) await space.blobs.put('a/b', page, Buffer.alloc(MIB, page))
  for (let page = 0; page < 17; page++) expect((await space.blobs.get('a/b', page))?.[0]).toBe(page)
  expect(reads).toEqual(['a/b 0'])
})

test('the latest 1,000 are kept, however small', async () => {
  const { space, reads } = await open()
  for (let page = 0; page < 1_001; page++) await space.blobs.put('a/b', page, Buffer.of(page & 255))
  for (let page = 0; page < 1_001; page++) await space.blobs.get('a/b', page)
  expect(reads).toEqual(['a/b 0'])
})

test('a worker that owns and works reads neither the pages nor the results of a large group back', async () => {
  const { tasks, worker, client, connect } = system()
  const length = 20_000
  const double = tasks.bind('double', (n: number) => 2 * n)
  const sum = tasks.bind('sum', (all: number[]) => all.reduce((total, n) => total + n, 0))
  const split = tasks.bind('split', () =>
    inParallel(Array.from({ length }, (_, n) => double.send(n))).continueWith(sum),
  )
  const asked = { put: 0, get: 0 }
  const count = ({ op }: { op: 'put' | 'get' }): undefined => void asked[op]++
  await worker({ localLane: true }, connect({ faults: { blob: count } }))
  const run = await client().submit(split.send())
  expect(await run.result({ timeoutMs: PATIENCE_MS })).toBe(length * (length - 1))
  expect(asked.put).toBeGreaterThan(5)
  expect(asked.get).toBe(0)
})
