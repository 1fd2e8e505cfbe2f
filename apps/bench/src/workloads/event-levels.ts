import assert from 'node:assert/strict'
import type { Client, WorkerOptions } from '@tasks/core'
import { everyPartitionAnswers, PATIENCE_MS, type Bed } from '../bed'
import { costOfAsync, type Cost } from '../cost'
import { median } from '../figures'
import type { Workload } from '../workload'
import { runFanOut } from './fan-out-run'

/** What workers are asked to say; the first is what the others are held against. */
const MODES: readonly Mode[] = [
  { name: 'none', options: { events: 'none' }, perTask: 0 },
  { name: 'pipelines', options: { events: 'pipelines' }, perTask: 0 },
  { name: 'tasks', options: { events: 'tasks' }, perTask: 0 },
  { name: 'worker events', options: { events: 'none', workerEvents: true }, perTask: 2 },
  { name: 'durable worker events', options: { events: 'none', durableWorkerEvents: true }, perTask: 2 },
]

interface Mode {
  readonly name: string
  readonly options: Partial<WorkerOptions>
  /** How many worker events there are of a task that ends well. */
  readonly perTask: number
}

interface Work {
  readonly name: string
  readonly tasks: number
  run(bed: Bed, client: Client): Promise<Cost>
}

export const eventLevels: Workload = {
  name: 'event-levels',
  title: 'what events cost: lone tasks, pipelines of one task, and a 1-N-1, at each level, against the level "none"',
  async run(bed) {
    const client = bed.createClient()
    const works = [loneTasks(bed.size(10_000, 100)), pipelines(bed.size(3_000, 50)), fanOut(bed.size(3_000, 50))]
    for (const work of works) {
      const costs = new Map(MODES.map((mode) => [mode, [] as Cost[]]))
      // What comes first is not counted: it is mostly the compiler that is measured.
      const before = bed.size(3, 0)
      for (let turn = -before; turn < bed.size(5, 1); turn++) {
        for (const mode of MODES) {
          const cost = await runAs(bed, client, mode, work)
          if (turn >= 0) costs.get(mode)!.push(cost)
        }
      }
      const plain = costs.get(MODES[0]!)!
      bed.note(`${work.name}, none`, work.tasks / median(plain.map(({ seconds }) => seconds)), '/s')
      for (const mode of MODES.slice(1)) {
        const against = (of: (cost: Cost) => number): number =>
          median(costs.get(mode)!.map((cost, i) => of(cost) / of(plain[i]!)))
        bed.note(
          `${work.name}, ${mode.name}: time against none`,
          against(({ seconds }) => seconds),
          'x',
        )
        bed.note(
          `${work.name}, ${mode.name}: CPU against none`,
          against(({ cpuSeconds }) => cpuSeconds),
          'x',
        )
      }
    }
    await bed.checkNoDeadLetters(client)
  },
}

/** Until everything is in the log: what leaves behind the tasks is paid for, too. */
async function runAs(bed: Bed, client: Client, { options, perTask }: Mode, work: Work): Promise<Cost> {
  const said = await client.subscribe({ types: 'worker.*', follow: false })
  const worker = await bed.startWorker(options)
  await everyPartitionAnswers(client)
  const cost = await work.run(bed, client)
  const closing = await costOfAsync(() => worker.close())
  assert.equal(worker.droppedEvents, 0, 'events were dropped')
  let events = 0
  for await (const { kind } of said) {
    assert.equal(kind, 'event', 'events were dropped by the log')
    events++
  }
  assert.equal(events, work.tasks * perTask, 'worker events are missing, or too many')
  return { seconds: cost.seconds, cpuSeconds: cost.cpuSeconds + closing.cpuSeconds }
}

const loneTasks = (count: number): Work => ({
  name: 'lone tasks',
  tasks: count,
  async run({ tasks: { noop, ran } }, client) {
    const inputs = Array.from({ length: count }, (_, i) => i)
    const cost = await costOfAsync(async () => {
      const done = ran.noop.reaches(count)
      await client.enqueueMany(noop, inputs)
      await done
    })
    ran.noop.checkAndReset(count)
    return cost
  },
})

const pipelines = (count: number): Work => ({
  name: 'pipelines of one task',
  tasks: count,
  async run({ tasks: { step, ran }, checkCompleted }, client) {
    const ids: string[] = []
    const cost = await costOfAsync(() =>
      Promise.all(
        Array.from({ length: count }, async (_, i) => {
          const run = await client.submit(step, i)
          assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), i + 1)
          ids.push(run.id)
        }),
      ),
    )
    ran.step.checkAndReset(count)
    for (const id of ids) await checkCompleted(client.attach(id), 1)
    return cost
  },
})

const fanOut = (children: number): Work => ({
  name: 'a 1-N-1',
  tasks: children + 2,
  run: (bed, client) => runFanOut(bed, client, children),
})
