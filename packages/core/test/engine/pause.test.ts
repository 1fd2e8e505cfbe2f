// What is held by a pause goes on with the resume, whatever else is under way.
import { expect, test } from 'vitest'
import { inParallel, sleep } from '../../src/pipeline'
import { JOBS } from '../../src/engine/row-keys'
import type { JobRow } from '../../src/engine/rows'
import { createTasks } from '../../src/tasks'
import { ReducerWorld, submitOf } from './reducer-world'

const tasks = createTasks({ namespace: 'test' })
const step = tasks.bind('step', (value?: unknown): unknown => value)

test('an earlier resume that ends late takes nothing from a later one', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().continueWith(step))])
  world.give('pause')
  world.give('resume')
  const [earlier] = world.keys(JOBS).map((key) => world.row<JobRow>(key))
  world.give('pause')
  world.returns('/0')
  world.give('resume')
  // It had looked before anything was held.
  world.fold([{ type: 'released', job: earlier!, paths: [], done: true }])
  world.takeDispatched()
  await world.settle()
  expect(world.takeDispatched()).toEqual(['/1'])
})

test('a pause in the middle of a resume holds what is left', async () => {
  const world = new ReducerWorld()
  const chain = step.send().continueWith(step)
  world.fold([submitOf('p', 'run', inParallel(Array.from({ length: 8 }, () => chain)))])
  await world.settle()
  world.give('pause')
  for (const path of world.takeDispatched()) world.returns(path)
  world.give('resume')
  await world.work(1)
  world.give('pause')
  await world.settle()
  expect(world.takeDispatched()).toHaveLength(3)
  expect(world.pipelineRow()).toMatchObject({ status: 'PAUSED', out: 3 })
  world.give('resume')
  await world.settle()
  expect(world.takeDispatched()).toHaveLength(5)
  for (let chain = 0; chain < 8; chain++) world.returns(`/0.${chain}/1`)
  await world.settle()
  expect(world.pipelineRow()).toMatchObject({ status: 'COMPLETED', out: 0 })
  expect([...world.keys('P'), ...world.keys(JOBS)]).toEqual([])
})

test('what is given back to a paused pipeline is held', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', inParallel([step.send()]))])
  await world.settle()
  world.give('pause')
  world.fold([{ type: 'requeue', dispatches: [world.dispatched('/0.0/0')] }])
  expect(world.pipelineRow().out).toBe(0)
  // Whoever had it has run it all the same.
  world.returns('/0.0/0')
  world.give('resume')
  await world.settle()
  expect(world.pipelineRow()).toMatchObject({ status: 'COMPLETED', out: 0 })
})

test('a pipeline that starts later and begins with a sleep sleeps then', () => {
  const world = new ReducerWorld()
  const start = world.now + 1_000
  world.fold([submitOf('p', 'run', sleep(5_000).continueWith(step.send()), { runAt: start })])
  world.fireTimer('dispatch')
  expect(world.now).toBe(start)
  expect(world.takeDispatched()).toEqual([])
  world.fireTimer('dispatch')
  expect(world.now).toBe(start + 5_000)
  expect(world.takeDispatched()).toEqual(['/1'])
})

test('a pipeline that starts later begins with whatever it begins with', async () => {
  for (const first of [step.send(), inParallel([step.send()])]) {
    const world = new ReducerWorld()
    world.fold([submitOf('p', 'run', first, { runAt: world.now + 1_000 })])
    world.fireTimer('dispatch')
    await world.settle()
    const [path, ...others] = world.takeDispatched()
    expect(others).toEqual([])
    world.returns(path!)
    await world.settle()
    expect(world.pipelineRow().status).toBe('COMPLETED')
  }
})
