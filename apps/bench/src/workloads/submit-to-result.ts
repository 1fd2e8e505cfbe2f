import assert from 'node:assert/strict'
import type { Client } from '@tasks/core'
import { everyPartitionAnswers, PATIENCE_MS, type Bed } from '../bed'
import { quantile } from '../figures'
import type { Workload } from '../workload'

export const submitToResult: Workload = {
  name: 'submit-to-result',
  title: 'one pipeline of one task at a time, from submit to its result: client and worker in one process, and in two',
  async run(bed) {
    const count = bed.size(2_000, 50)
    const { client, worker } = await bed.start()
    await timeEach(bed, client, bed.size(1_000, 10))
    bed.startProfile()
    const floorMs = await stepOfFloor(bed)
    noteTimes(bed, 'one process', await timeEach(bed, client, count), (floorMs + (await stepOfFloor(bed))) / 2)
    await bed.checkNoDeadLetters(client)
    if (!bed.transport.capabilities.shared) return

    await worker.close()
    const elsewhere = await bed.startWorkerProcess()
    await everyPartitionAnswers(client)
    const before = bed.size(500, 10)
    await timeEach(bed, client, before, 'elsewhere')
    const floorAgainMs = await stepOfFloor(bed)
    const times = await timeEach(bed, client, count, 'elsewhere')
    noteTimes(bed, 'two processes', times, (floorAgainMs + (await stepOfFloor(bed))) / 2)
    const { step } = await elsewhere.counts()
    assert.equal(step, before + count, 'tasks did not run once each')
    await bed.checkNoDeadLetters(client)
  },
}

/** In ms. */
async function timeEach(
  bed: Bed,
  client: Client,
  count: number,
  where: 'here' | 'elsewhere' = 'here',
): Promise<readonly number[]> {
  const { step, ran } = bed.tasks
  const times: number[] = []
  const ids: string[] = []
  for (let i = 0; i < count; i++) {
    const since = performance.now()
    const run = await client.submit(step, i)
    const result = await run.result({ timeoutMs: PATIENCE_MS })
    times.push(performance.now() - since)
    assert.equal(result, i + 1)
    ids.push(run.id)
  }
  ran.step.checkAndReset(where === 'here' ? count : 0)
  for (const id of ids) await bed.checkCompleted(client.attach(id), 1)
  return times
}

/** The mean of some, in ms; NaN where there is no floor. Taken before and after. */
async function stepOfFloor(bed: Bed): Promise<number> {
  const count = bed.size(1_000, 10)
  const cost = await bed.floors?.steps.run(count)
  return cost === undefined ? Number.NaN : (cost.seconds / count) * 1000
}

function noteTimes(bed: Bed, where: string, times: readonly number[], floorMs: number): void {
  const p50 = quantile(times, 0.5)
  bed.note(`p50, ${where}`, p50, 'ms')
  bed.note(`p99, ${where}`, quantile(times, 0.99), 'ms')
  if (!Number.isNaN(floorMs))
    bed.note(`p50, ${where}: against a step of the floor`, p50 / floorMs, 'x', { nats: { most: 5 } })
}
