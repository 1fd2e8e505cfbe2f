import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import { eventually, later, PATIENCE_MS, system } from '../support/system'
import { ReducerWorld, submitOf } from './reducer-world'

test('runs that were restarted in the middle of a group leave nothing behind, and take no room from others', async () => {
  const { tasks, worker, client, rows } = system()
  let quick = false
  const wait = tasks.bind('wait', async (value: number) => {
    if (!quick) await later(5)
    return value
  })
  await worker({ concurrency: 4, leaseMs: 300 })
  const submitter = client()
  const group = (size: number) => inParallel(Array.from({ length: size }, (_, index) => wait.send(index)))
  // More of them than groups are looked at in a turn.
  for (let restart = 0; restart < 40; restart++) {
    const run = await submitter.submit(group(1_500), { id: 'one', onDuplicate: 'restart' })
    await eventually(async () => expect((await run.progress()).done).toBeGreaterThan(0))
  }
  quick = true
  const last = await submitter.submit(group(300), { id: 'one', onDuplicate: 'restart' })
  expect((await last.result({ timeoutMs: PATIENCE_MS })).length).toBe(300)
  await eventually(async () => {
    // What is known to be over is deleted by the next commit.
    await submitter.submit(wait, 1, { id: 'one', onDuplicate: 'restart' })
    const left = async () => [...(await rows('X/')), ...(await rows('P')), ...(await rows('W/'))]
    await eventually(async () => expect(await left()).toEqual([]), 200)
  })
}, 90_000)

test('what a run that is restarted has left goes in steps, not with the commit of the restart', async () => {
  const world = new ReducerWorld()
  const pipeline = system()
    .tasks.bind('step', () => 1)
    .send()
  world.fold([submitOf('p', 'first', pipeline)])
  const { changed } = world.fold([submitOf('p', 'second', pipeline, { onDuplicate: 'restart' })])
  expect([...changed].flatMap(([key, row]) => (row === null && key.startsWith('Pp/1:') ? [key] : []))).toEqual([])
  await world.settle()
  expect(world.keys('P')).toEqual(['Pp/2:d#0'])
})
