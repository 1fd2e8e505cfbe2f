import { expect, test } from 'vitest'
import { Draft } from '../../src/engine/draft'
import { fold } from '../../src/engine/fold'
import type { Input } from '../../src/engine/input'
import { RowCache } from '../../src/engine/row-cache'
import { eventAddress } from '../../src/engine/event-address'
import { BoxKeys, JOBS } from '../../src/engine/row-keys'
import type { JobRow } from '../../src/engine/rows'
import { createTasks } from '../../src/tasks'
import type { PartitionSession } from '../../src/transport'
import { Kind } from '../../src/value'
import { waitForEvent } from '../../src/wait-for-event'
import { ReducerWorld, submitOf } from './reducer-world'

const echo = createTasks({ namespace: 'test' }).bind('echo', (value: number) => value)
const UNREADABLE = Buffer.from('no definition')

/** What an owner that knows no row yet makes of an input, and how often it reads. */
async function foldCold(world: ReducerWorld, input: Input, assumes: boolean) {
  let reads = 0
  const session = {
    load: async (keys: readonly string[]) => {
      reads++
      return keys.map((key) => world.rows.get(key))
    },
  }
  const cache = new RowCache(session as unknown as PartitionSession, { get: async () => undefined } as never)
  const newDraft = () => new Draft(cache, world.seq + 1, world.now, 0)
  const folded = await fold({ cache, newDraft, assumes }, [{ input, weight: 1, bytes: 0 }])
  return { ...folded, reads }
}

/** A submit that cannot be read. */
function unreadable(): Input {
  const { definition, ...rest } = submitOf('one', 'one', echo.send(1))
  return { ...rest, definition: { ...definition, pages: [UNREADABLE] } }
}

test('a submit that came before is answered from its row, though what it began with is gone', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('one', 'one', echo.send(1))])
  world.fold([submitOf('one', 'two', echo.send(2), { onDuplicate: 'restart' })])
  const { poison, draft } = await foldCold(world, unreadable(), true)
  expect(poison).toEqual([])
  expect(draft.changed.get('M/one') ?? {}).not.toMatchObject({ run: 'one' })
})

test('one that is new is given up', async () => {
  const { poison } = await foldCold(new ReducerWorld(), unreadable(), true)
  expect(poison).toHaveLength(1)
})

test('an event that wakes many reads what they need together, and not one after the other', async () => {
  const world = new ReducerWorld()
  for (let at = 0; at < 50; at++) world.fold([submitOf(`p${at}`, `run ${at}`, waitForEvent({ key: 'k' }))])
  const value = { kind: Kind.one, bytes: Buffer.from('1') }
  world.fold([{ type: 'event', key: 'k', eventId: 'e', value, fields: {}, keepMs: 1e9 }])
  const [job] = world.keys(JOBS).map((key) => world.row<JobRow>(key))
  const waiters = world.keys(new BoxKeys(eventAddress(undefined, 'k')).waiters())
  const input = { type: 'woken', job: job as JobRow & { kind: 'wake' }, waiters, done: true } as const
  const { reads, draft } = await foldCold(world, input, false)
  expect(draft.ended).toHaveLength(50)
  expect(reads).toBeLessThan(10)
})
