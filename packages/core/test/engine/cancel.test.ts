// What is cancelled runs its finallys, each once, and then nothing more.
import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import { JOBS } from '../../src/engine/row-keys'
import type { JobRow } from '../../src/engine/rows'
import { createTasks } from '../../src/tasks'
import { ReducerWorld, submitOf } from './reducer-world'

const tasks = createTasks({ namespace: 'test' })
const step = tasks.bind('step', (value?: unknown): unknown => value)

test('a finally that ends while the others are being looked for is not run again', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', inParallel([step.send(), step.send()]).finallyDo(step))])
  await world.settle()
  world.returns('/0.0/0', step.send().finallyDo(step))
  world.returns('/0.1/0', step.send().finallyDo(step))
  // One is at its finally, the other before.
  world.returns('/0.0~1/0')
  world.give('cancel')
  world.fireTimer('grace')
  const [job] = world.keys(JOBS).map((key) => world.row<JobRow>(key))
  expect(job!.kind).toBe('finals')
  // As it was found before that finally ended.
  world.returns('/0.0~1/1')
  world.takeDispatched()
  world.fold([{ type: 'finals', job: job!, bases: ['/0.0', '/0.1'], done: true }])
  expect(world.takeDispatched()).toEqual(['/0.1~1/1'])
  expect(world.pipelineRow().finals).toBe(1)
  world.returns('/0.1~1/1')
  expect(world.takeDispatched()).toEqual(['/1'])
  world.returns('/1')
  expect(world.pipelineRow()).toMatchObject({ status: 'CANCELLED', finals: 0 })
  await world.settle()
  expect(world.keys('P')).toEqual([])
})

test('what comes in twice while its pipeline is being cancelled is told and counted once', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', inParallel([step.send(), step.send()]))])
  await world.settle()
  world.give('cancel')
  world.returns('/0.0/0')
  world.returns('/0.0/0')
  expect(world.events.filter(({ type }) => type === 'dev.tasks.task.cancelled')).toHaveLength(1)
  expect(world.pipelineRow()).toMatchObject({ status: 'CANCELLING', attempts: 1, done: 1, out: 1 })
})

test('a finally that is given back goes through the shared queue', () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().finallyDo(step))])
  world.give('cancel')
  world.returns('/0')
  const { dispatches } = world.fold([{ type: 'requeue', dispatches: [world.dispatched('/1')] }])
  expect(dispatches).toMatchObject([{ path: '/1', shared: true, final: true }])
  world.returns('/1')
  expect(world.pipelineRow()).toMatchObject({ status: 'CANCELLED', out: 0 })
})

test('a pause that stands in the way of a finally ends with the cancelling', () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().pauseAfter().finallyDo(step))])
  world.returns('/0')
  expect(world.pipelineRow().status).toBe('PAUSED')
  world.give('cancel')
  expect(world.takeDispatched()).toEqual(['/0', '/1'])
  world.returns('/1')
  expect(world.pipelineRow().status).toBe('CANCELLED')
})

test('a command that comes again does nothing, in a new run of the id either, and if it had nothing to do', () => {
  const world = new ReducerWorld()
  const submit = (run: string) => submitOf('p', run, step.send(), { onDuplicate: 'restart' })
  world.fold([submit('run 1')])
  world.give('cancel', 'p', 'cancel')
  world.fold([submit('run 2')])
  world.give('cancel', 'p', 'cancel')
  expect(world.pipelineRow().status).toBe('RUNNING')
  world.give('resume', 'p', 'resume')
  world.give('pause', 'p', 'pause')
  world.give('resume', 'p', 'resume')
  expect(world.pipelineRow().status).toBe('PAUSED')
})
