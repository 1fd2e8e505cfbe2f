import { expect, test } from 'vitest'
import { encodeRows } from '../../src/engine/commit-plan'
import { Draft } from '../../src/engine/draft'
import { RowCache } from '../../src/engine/row-cache'
import { encodeRow } from '../../src/engine/row-codec'
import { RunKeys } from '../../src/engine/row-keys'
import { firstStep } from '../../src/engine/rows'
import type { Blobs, Bytes, PartitionSession } from '../../src/transport'
import { NONE } from '../../src/value'

test('a read that was overtaken by a commit does not bring back what it saw', async () => {
  const key = new RunKeys('p', 1).chain('/0.1')
  const answers: ((rows: readonly (Bytes | undefined)[]) => void)[] = []
  const session = { load: () => new Promise((resolve) => answers.push(resolve)) } as unknown as PartitionSession
  const cache = new RowCache(session, {} as Blobs)
  // Work beside the turns has asked for a row that is not there yet.
  const loading = cache.load([key])!
  const draft = new Draft(cache, 1, 1)
  draft.put(key, { ...firstStep(NONE), at: 3 })
  cache.apply(draft, new Map())
  answers[0]!([undefined])
  await loading
  expect(cache.get(key)).toMatchObject({ at: 3 })

  // And of two reads, with a commit in between, the later answer may be the older one.
  const other = new RunKeys('q', 1).chain('/0.1')
  const both = [cache.load([other])!, cache.load([other])!]
  const old = encodeRow(other, firstStep(NONE))
  answers[1]!([old])
  await both[0]
  const next = new Draft(cache, 2, 2)
  next.put(other, { ...firstStep(NONE), at: 7 })
  cache.apply(next, new Map())
  answers[2]!([old])
  await both[1]
  expect(cache.get(other)).toMatchObject({ at: 7 })
})

test('what is in memory is bounded by its size, not only by its number', () => {
  const cache = new RowCache({} as PartitionSession, {} as Blobs)
  const keyOf = (index: number): string => new RunKeys(`p${index}`, 1).chain('/0.1')
  const known = (count: number): number[] =>
    Array.from({ length: count }, (_, index) => index).filter((index) => cache.get(keyOf(index)) !== undefined)
  const write = (index: number, length: number): void => {
    const draft = new Draft(cache, index + 1, 1)
    draft.put(keyOf(index), firstStep({ kind: 1, bytes: new Uint8Array(length) }))
    cache.apply(draft, encodeRows(draft, cache))
  }
  for (let index = 0; index < 3_000; index++) write(index, 32 << 10)
  const kept = known(3_000)
  expect(kept.length * (32 << 10)).toBeLessThan(40 << 20)
  // The youngest, and many.
  expect(kept.length).toBeGreaterThan(500)
  expect(kept.at(-1)).toBe(2_999)
  expect(kept[0]).toBe(3_000 - kept.length)
  // What becomes small again takes no room.
  for (const index of kept) write(index, 10)
  for (let index = 3_000; index < 6_000; index++) write(index, 10)
  expect(known(6_000).length).toBe(kept.length + 3_000)
})
