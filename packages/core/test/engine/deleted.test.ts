// What was deleted, or has outlived its retention, gives its id free at once; and what is still done for it touches nothing of a new run.
import { expect, test } from 'vitest'
import { statusOf } from '../../src/engine/queries'
import { JOBS, RunKeys, TIMERS } from '../../src/engine/row-keys'
import type { JobRow } from '../../src/engine/rows'
import { inParallel } from '../../src/pipeline'
import { createTasks } from '../../src/tasks'
import { ReducerWorld, submitOf } from './reducer-world'

const tasks = createTasks({ namespace: 'test' })
const step = tasks.bind('step', (value?: unknown): unknown => value)

test('an id can be used again as soon as its pipeline is deleted, for another definition too', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run 1', step.send())])
  world.returns('/0')
  world.give('delete')
  expect(world.keys(TIMERS)).toEqual([])
  expect(statusOf(world.pipelineRow())).toBe(null)
  world.fold([submitOf('p', 'run 2', step.send(2), { onDuplicate: 'reject' })])
  expect(world.pipelineRow()).toMatchObject({ run: 'run 2', status: 'RUNNING' })
  await world.settle()
  world.returns('/0')
  expect(world.pipelineRow()).toMatchObject({ run: 'run 2', status: 'COMPLETED' })
})

test('cleaning that comes late, after the id was used again, finds nothing', async () => {
  const world = new ReducerWorld()
  const pipeline = inParallel([step.send().continueWith(step), step.send()])
  world.fold([submitOf('p', 'run 1', pipeline)])
  world.give('cancel')
  const [late] = world
    .keys(JOBS)
    .map((key) => world.row<JobRow>(key))
    .filter(({ kind }) => kind === 'clean')
  world.give('delete')
  await world.settle()
  expect([...world.rows.keys()]).toEqual([])
  world.fold([submitOf('p', 'run 2', pipeline)])
  await world.work(100)
  world.returns('/0.0/0')
  const before = new Map(world.rows)
  const found = world.keys(new RunKeys('p', late!.gen).all)
  expect(found).toEqual([])
  world.fold([{ type: 'cleaned', job: late as JobRow & { kind: 'clean' }, keys: found, done: true }])
  expect(world.rows).toEqual(before)
})

test('a restart leaves no timer of the run before', async () => {
  const world = new ReducerWorld()
  for (let run = 1; run <= 3; run++) world.fold([submitOf('p', `run ${run}`, step.send(), { onDuplicate: 'restart' })])
  await world.settle()
  expect(world.keys(TIMERS)).toEqual([])
})
