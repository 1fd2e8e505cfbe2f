// Tasks that return pipelines.
import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import type { ChainRow } from '../../src/engine/rows'
import { inParallel } from '../../src/pipeline'
import { createTasks } from '../../src/tasks'
import { PATIENCE_MS, system } from '../support/system'
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

test('ten thousand pipelines, each returned by the one before it', async () => {
  const { tasks: own, worker, client } = system()
  const down = own.bind('down', (left: number): unknown =>
    left === 0 ? taskContext().pipelineId : down.send(left - 1),
  )
  await worker()
  const run = await client().submit(down.send(10_000), { id: 'p' })
  expect(await run.result({ timeoutMs: 2 * PATIENCE_MS })).toBe('p~10000')
  expect(await run.status()).toMatchObject({ status: 'COMPLETED', tasks: 10_001, done: 10_001, attempts: 10_001 })
}, 120_000)

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
