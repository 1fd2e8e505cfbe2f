// Groups that can start nothing keep no others from starting.
import { expect, test } from 'vitest'
import { Jobs, type JobsOptions } from '../../src/engine/jobs'
import { RunKeys } from '../../src/engine/row-keys'
import { inParallel, sleep } from '../../src/pipeline'
import { eventually, PATIENCE_MS, system } from '../support/system'

test('a group is started however many groups of paused pipelines there are, also by the next owner', async () => {
  const { tasks, worker, client, rows } = system()
  const step = tasks.bind('step', (value: number) => value)
  const first = await worker({ concurrency: 2 })
  const submitter = client()
  const group = inParallel([step.send(1), step.send(2)])
  const paused = await Promise.all(
    Array.from({ length: 100 }, () => submitter.submit(step.send(0).pauseAfter().continueWith(group))),
  )
  await eventually(async () => expect((await rows('X/')).length).toBe(100))
  expect(await (await submitter.submit(group)).result({ timeoutMs: PATIENCE_MS })).toEqual([1, 2])
  await first.close()
  await worker({ concurrency: 2 })
  expect(await (await submitter.submit(group)).result({ timeoutMs: PATIENCE_MS })).toEqual([1, 2])
  await Promise.all(paused.map((run) => run.resume()))
  for (const run of paused) expect(await run.result({ timeoutMs: PATIENCE_MS })).toEqual([1, 2])
}, 90_000)

test('all chains of a group that begin with a sleep sleep at the same time', async () => {
  const { tasks, worker, client, rows } = system()
  const step = tasks.bind('step', (value: number) => value)
  await worker({ concurrency: 1 })
  // More than may be with workers at a time.
  const chains = Array.from({ length: 4_500 }, (_, index) => sleep(3_600_000).continueWith(step.send(index)))
  const run = await client().submit(inParallel(chains))
  const timers = async () => (await rows('T/')).length
  await eventually(async () => expect(await timers()).toBe(4_500))
  await run.cancel()
}, 60_000)

test('a group that could start nothing is looked at again when something arrives for its pipeline, and not before', () => {
  const capabilities = { maxCommitItems: 10_000 }
  const jobs = new Jobs({ space: { capabilities }, lane: undefined } as JobsOptions)
  const pump = (id: string) => ({ kind: 'pump', id, run: 'run', gen: 1, path: '/0' }) as const
  for (let index = 0; index < 1_000; index++)
    jobs.start(new RunKeys(`p${index}`, 1).job('pump', '/0'), pump(`p${index}`))
  const look = (): string[] => {
    const due = jobs.pumpsDue()
    const batch = due.map(([job, count]) => ({
      input: { type: 'pump', job, count } as const,
      weight: count,
      bytes: 0,
    }))
    jobs.park(batch, new Map())
    return due.map(([{ id }]) => id)
  }
  const seen = new Set<string>()
  while (jobs.pumping) for (const id of look()) expect(seen.size < seen.add(id).size).toBe(true)
  expect(seen.size).toBe(1_000)
  jobs.wake([{ input: { type: 'outcomes', outcomes: [] }, weight: 1, bytes: 0 }])
  expect(look()).toEqual([])
  const timer = { kind: 'grace', id: 'p7', run: 'run' } as const
  jobs.wake([{ input: { type: 'timer', key: 'T/', timer }, weight: 1, bytes: 0 }])
  expect(look()).toEqual(['p7'])
})
