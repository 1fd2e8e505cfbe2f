import { expect, test } from 'vitest'
import { Draft } from '../../src/engine/draft'
import { fold } from '../../src/engine/fold'
import { RowCache } from '../../src/engine/row-cache'
import { createTasks } from '../../src/tasks'
import type { PartitionSession } from '../../src/transport'
import { ReducerWorld, submitOf } from './reducer-world'

const echo = createTasks({ namespace: 'test' }).bind('echo', (value: number) => value)
const UNREADABLE = Buffer.from('no definition')

/** Folds a submit that cannot be read, as an owner that knows no row yet. */
function folded(world: ReducerWorld) {
  const session = { load: async (keys: readonly string[]) => keys.map((key) => world.rows.get(key)) }
  const cache = new RowCache(session as unknown as PartitionSession, { get: async () => undefined } as never)
  const { definition, ...rest } = submitOf('one', 'one', echo.send(1))
  const input = { ...rest, definition: { ...definition, pages: [UNREADABLE] } }
  const newDraft = () => new Draft(cache, world.seq + 1, world.now, 0)
  return fold({ cache, newDraft, assumes: true }, [{ input, weight: 1, bytes: 0 }])
}

test('a submit that came before is answered from its row, though what it began with is gone', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('one', 'one', echo.send(1))])
  world.fold([submitOf('one', 'two', echo.send(2), { onDuplicate: 'restart' })])
  const { poison, draft } = await folded(world)
  expect(poison).toEqual([])
  expect(draft.changed.get('M/one') ?? {}).not.toMatchObject({ run: 'one' })
})

test('one that is new is given up', async () => {
  const { poison } = await folded(new ReducerWorld())
  expect(poison).toHaveLength(1)
})
