import { expect, test } from 'vitest'
import { Draft } from '../../src/engine/draft'
import { RowCache } from '../../src/engine/row-cache'
import { encodeRow, firstStep, RunKeys } from '../../src/engine/rows'
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
  cache.apply(draft)
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
  cache.apply(next)
  answers[2]!([old])
  await both[1]
  expect(cache.get(other)).toMatchObject({ at: 7 })
})
