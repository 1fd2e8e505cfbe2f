import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, oddBodies, oddIds, sameBytes, text } from '../content'

export const blobs: readonly ConformanceCase[] = [
  {
    name: 'keeps the pages of a blob, byte for byte, for everybody',
    promise: 'blobs',
    because: 'an argument of 20 MiB is a few hundred of these',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      for (const [page, body] of oddBodies.entries()) await here.blobs.put('run/1', page, body)
      await here.blobs.put('run/2', 0, bytes('another'))
      for (const [page, body] of oddBodies.entries())
        sameBytes(await there.blobs.get('run/1', page), body, `page ${page}`)
      assert.equal(text(await there.blobs.get('run/2', 0)), 'another')
      assert.equal(
        await there.blobs.get('run/1', oddBodies.length),
        undefined,
        'a page that was never written is there',
      )
      assert.equal(await there.blobs.get('run', 0), undefined, 'a blob that was never written is there')
    }),
  },
  {
    name: 'takes a page of a blob twice',
    promise: 'blobs',
    because: 'a put that was not answered is made again',
    run: staged(async (stage) => {
      const { blobs } = await stage.open()
      await blobs.put('b', 0, bytes('page'))
      await blobs.put('b', 1, bytes('other'))
      await blobs.put('b', 0, bytes('page'))
      assert.equal(text(await blobs.get('b', 0)), 'page')
      assert.equal(text(await blobs.get('b', 1)), 'other')
      assert.deepEqual(
        (await blobs.list({ limit: 10 })).map(({ key }) => key),
        ['b'],
      )
    }),
  },
  {
    name: 'lists blobs in the order of their keys, page by page, with their age',
    promise: 'blobs',
    because: 'once a day what nobody refers to any more is swept up',
    run: staged(async (stage) => {
      const space = await stage.open()
      const keys = Array.from({ length: 25 }, (_, i) => `run/${String((i * 7) % 25).padStart(2, '0')}`)
      const before = await space.now()
      for (const key of keys) await space.blobs.put(key, 0, bytes(key))
      await space.blobs.put('run/00', 1, bytes('second page'))
      const seen: string[] = []
      for (let after: string | undefined; ;) {
        const page = await space.blobs.list({ limit: 10, ...(after === undefined ? {} : { after }) })
        assert.ok(page.length <= 10, `a page of 10 has ${page.length}`)
        for (const { at } of page)
          assert.ok(Math.abs(at - before) < 60_000, `it was written at ${before}, not at ${at}`)
        seen.push(...page.map(({ key }) => key))
        if (page.length < 10 || seen.length > 25) break
        after = page.at(-1)!.key
      }
      assert.deepEqual(seen, [...keys].sort())
    }),
  },
  {
    name: 'drops the blobs of a prefix, and no others',
    promise: 'blobs',
    because: 'a pipeline that is deleted takes its own with it',
    run: staged(async (stage) => {
      const { blobs } = await stage.open()
      const keys = oddIds.flatMap((id) => [`${id}/1`, `${id}/2`])
      for (const key of keys) for (const page of [0, 1]) await blobs.put(key, page, bytes(key))
      const left = new Set(keys)
      for (const id of oddIds.filter((_, i) => i % 3 === 0)) {
        await blobs.drop(`${id}/`)
        for (const key of [`${id}/1`, `${id}/2`]) {
          left.delete(key)
          for (const page of [0, 1]) assert.equal(await blobs.get(key, page), undefined, `${key} was dropped`)
        }
        const there = (await blobs.list({ limit: 1000 })).map(({ key }) => key)
        assert.deepEqual(new Set(there), left, `after dropping "${id}/"`)
      }
      await blobs.drop('nothing has this prefix')
      for (const key of left) assert.equal(text(await blobs.get(key, 1)), key)
    }),
  },
]
