// A failed pipeline is retried: what is started again is what failed, and nothing else.
import { expect, test } from 'vitest'
import { decodeArguments } from '../../src/decoding'
import { inParallel } from '../../src/pipeline'
import { createTasks } from '../../src/tasks'
import { codec, ReducerWorld, submitOf } from './reducer-world'

const tasks = createTasks({ namespace: 'test' })
const step = tasks.bind('step', (value?: unknown): unknown => value)

test('after a finally that failed, however the chain before it ended: the finally alone', async () => {
  const chains = {
    task: step.send(),
    group: inParallel([step.send(), step.send()]),
    handled: step.send().exceptionally(step),
  }
  for (const [name, chain] of Object.entries(chains)) {
    const world = new ReducerWorld()
    world.fold([submitOf('p', 'run', chain.finallyDo(step))])
    await world.settle()
    for (const path of world.takeDispatched()) world.returns(path, name)
    await world.settle()
    const [last, ...others] = world.takeDispatched()
    expect(others).toEqual([])
    world.fails(last!, 'of the finally')
    expect(world.pipelineRow().status).toBe('FAILED')
    world.give('retry')
    await world.settle()
    expect(world.takeDispatched()).toEqual([last])
    world.returns(last!)
    expect(world.pipelineRow()).toMatchObject({ status: 'COMPLETED', out: 0, finals: 0 })
  }
})

test('the same of a finally of a pipeline that a task returned', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().continueWith(step))])
  world.returns('/0', inParallel([step.send()]).finallyDo(step))
  await world.settle()
  world.returns('/0:/0.0/0')
  await world.settle()
  world.fails('/0:/1')
  expect(world.pipelineRow()).toMatchObject({ status: 'FAILED', finals: 0 })
  world.takeDispatched()
  world.give('retry')
  await world.settle()
  expect(world.takeDispatched()).toEqual(['/0:/1'])
  expect(world.pipelineRow().finals).toBe(1)
  world.returns('/0:/1')
  world.returns('/1')
  expect(world.pipelineRow()).toMatchObject({ status: 'COMPLETED', out: 0, finals: 0 })
})

test('what failed before a finally is given again what it was given', () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().continueWith(step).finallyDo(step))])
  world.returns('/0', 'from upstream')
  world.fails('/1')
  world.returns('/2')
  expect(world.pipelineRow().status).toBe('FAILED')
  world.give('retry')
  expect(decodeArguments(codec, world.dispatched('/1').input)).toEqual(['from upstream'])
})

test('after a returned pipeline that ended well and a finally that failed: the finally alone', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().finallyDo(step))])
  world.returns('/0', step.send())
  world.returns('/0:/0')
  world.fails('/1')
  world.takeDispatched()
  world.give('retry')
  expect(world.takeDispatched()).toEqual(['/1'])
  world.returns('/1')
  expect(world.pipelineRow().status).toBe('COMPLETED')
})

test('groups within groups: the entries that failed, with what is before them kept', async () => {
  const world = new ReducerWorld()
  const inner = inParallel([step.send(), step.send().continueWith(step)])
  world.fold([submitOf('p', 'run', inParallel([inner, step.send(), inner]))])
  await world.settle()
  for (const path of world.takeDispatched())
    if (path === '/0.1/0') world.fails(path)
    else world.returns(path, path)
  world.fails('/0.0/0.1/1')
  world.fails('/0.2/0.1/1')
  await world.settle()
  expect(world.pipelineRow().status).toBe('FAILED')
  world.takeDispatched()
  world.give('retry')
  await world.settle()
  expect(world.takeDispatched().sort()).toEqual(['/0.0/0.1/1', '/0.1/0', '/0.2/0.1/1'])
  for (const path of ['/0.0/0.1/1', '/0.1/0', '/0.2/0.1/1']) world.returns(path)
  await world.settle()
  expect(world.pipelineRow()).toMatchObject({ status: 'COMPLETED', out: 0 })
  expect(world.keys('P')).toEqual([])
})

test('a pipeline that fails again can be retried again, and its first submit still names it', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', inParallel([step.send(), step.send()]))])
  await world.settle()
  world.returns('/0.1/0')
  world.fails('/0.0/0')
  await world.settle()
  for (let tries = 0; tries < 3; tries++) {
    world.give('retry')
    await world.settle()
    world.fails('/0.0/0')
    await world.settle()
    expect(world.pipelineRow()).toMatchObject({ status: 'FAILED', out: 0 })
  }
  const before = new Map(world.rows)
  world.fold([submitOf('p', 'run', inParallel([step.send(), step.send()]))])
  expect(world.rows).toEqual(before)
})

test('a long run of handlers that all fail costs the same for each', () => {
  const world = new ReducerWorld()
  let chain = step.send()
  for (let handler = 0; handler < 1_000; handler++) chain = chain.exceptionally(step)
  world.fold([submitOf('p', 'run', chain)])
  for (let at = 0; at < 1_000; at++) world.fails(`/${at}`)
  expect(world.rows.get('M/p')!.length).toBeLessThan(2_500)
  world.fails('/1000')
  expect(world.pipelineRow().status).toBe('FAILED')
  world.takeDispatched()
  world.give('retry')
  expect(world.takeDispatched()).toEqual(['/1000'])
})

test('a group that fails again while its retry is under way is not started once more', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', inParallel(Array.from({ length: 5 }, (_, index) => step.send(index))))])
  await world.settle()
  for (const path of world.takeDispatched()) world.fails(path)
  await world.settle()
  expect(world.pipelineRow().status).toBe('FAILED')
  world.give('retry')
  // A step of it starts two chains: they fail before the others are started.
  for (let steps = 0; steps < 20; steps++) {
    await world.work(100)
    for (const path of world.takeDispatched()) world.fails(path)
  }
  expect(world.pipelineRow()).toMatchObject({ status: 'FAILED', attempts: 10 })
})

test('failures that are values are not started again, though their group has failed for another reason', async () => {
  const world = new ReducerWorld()
  const group = inParallel([step.send(), step.send(), step.send()], { returnExceptions: true })
  world.fold([submitOf('p', 'run', group)])
  await world.settle()
  world.fails('/0.0/0')
  world.returns('/0.1/0', 1, { key: 1 })
  world.returns('/0.2/0', 2, { key: 2 })
  await world.settle()
  expect(world.pipelineRow()).toMatchObject({ status: 'FAILED', attempts: 3 })
  world.takeDispatched()
  world.give('retry')
  await world.settle()
  expect(world.takeDispatched()).toEqual([])
  expect(world.pipelineRow()).toMatchObject({ status: 'FAILED', attempts: 3, out: 0 })
})
