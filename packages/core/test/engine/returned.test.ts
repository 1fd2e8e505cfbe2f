// Tasks that return pipelines.
import { expect, test } from 'vitest'
import type { ChainRow } from '../../src/engine/rows'
import { inParallel } from '../../src/pipeline'
import { createTasks } from '../../src/tasks'
import { ReducerWorld, submitOf } from './reducer-world'

const tasks = createTasks({ namespace: 'test' })
const step = tasks.bind('step', (value?: unknown): unknown => value)

test('recursion in tail position takes no room, also of pipelines with a state of their own', () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', step.send().withInitial({ state: { depth: 0 } }))])
  let rows = 0
  for (let depth = 1; depth <= 2_000; depth++) {
    const [path] = world.takeDispatched()
    world.returns(path!, step.send().withInitial({ state: { depth } }), { [`set at ${depth}`]: depth })
    rows = Math.max(rows, world.rows.size)
  }
  const [path] = world.takeDispatched()
  expect(path).toBe('~2000/0')
  expect(rows).toBeLessThan(5)
  expect(world.pipelineRow().chain!.state!.length).toBeLessThan(100)
  world.returns(path!, 'end')
  expect(world.pipelineRow().status).toBe('COMPLETED')
})

test('what a chain of a group has set before its last task returned a pipeline is kept', async () => {
  const world = new ReducerWorld()
  world.fold([submitOf('p', 'run', inParallel([step.send()]).continueWith(step.send()))])
  await world.settle()
  world.returns('/0.0/0', step.send().withInitial({ state: { own: 1 } }), { kept: true })
  world.returns('/0.0/0:/0', undefined, { lost: true })
  await world.settle()
  const chain = world.pipelineRow().chain as ChainRow
  expect(Buffer.from(chain.state!).toString()).toContain('kept')
  expect(Buffer.from(chain.state!).toString()).not.toMatch(/lost|own/)
})
