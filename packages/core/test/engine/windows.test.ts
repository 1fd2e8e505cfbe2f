import { expect, test } from 'vitest'
import { Draft } from '../../src/engine/draft'
import { windowKey } from '../../src/engine/row-keys'
import { Windows } from '../../src/engine/windows'

test('windows that were abandoned go a few with each commit: a commit has a largest size', () => {
  const windows = new Windows()
  for (let seq = 1; seq <= 10; seq++)
    windows.abandon(windows.add(windowKey(seq), { seq, epoch: 1, sentAt: 0, queues: [], items: [] }, 0, 0, 0))
  const deleted: number[] = []
  for (let seq = 11; seq <= 15; seq++) {
    const draft = new Draft({ get: () => null }, seq, 0)
    windows.apply(draft, windows.close(draft, 4))
    deleted.push(draft.changed.size)
  }
  expect(deleted).toEqual([4, 4, 2, 0, 0])
})
