import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitForEvent, type Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { quantile } from '../figures'
import { heldBytes } from '../heap'
import type { Workload } from '../workload'
import { listAll } from './waiting-pipelines'

const AT_ONCE = 1_000
/** A list of all of them takes a while. */
const LOOK_MS = 500
/** Where a transport keeps no order of sends, somebody may have begun to wait behind the event: another one is for them. */
const AGAIN_MS = 60_000

export const eventWaiters: Workload = {
  name: 'event-waiters',
  title:
    '100,000 pipelines that wait for an event of one key: what one of them holds, what they cost a pipeline beside them, and how fast they wake',
  mostRounds: 2,
  async run(bed) {
    const count = bed.size(100_000, 300)
    const probes = bed.size(1_000, 20)
    const { client } = await bed.start()
    await timeProbes(bed, client, probes)
    const alone = await timeProbes(bed, client, probes)
    bed.startProfile()

    const before = await heldBytes()
    const fileBefore = bed.usedOfFile() ?? 0
    const since = performance.now()
    await submitWaiters(bed, client, count)
    bed.note('submitted and waiting', count / ((performance.now() - since) / 1000), '/s')
    bed.note("memory, waiting, each (owner and store, this process's)", ((await heldBytes()) - before) / count, 'B')
    const used = bed.usedOfFile()
    if (used !== undefined) bed.note('file of the store, waiting, each', (used - fileBefore) / count, 'B')

    const beside = await timeProbes(bed, client, probes)
    bed.note('a pipeline beside them, p50', quantile(beside, 0.5), 'ms')
    bed.note('a pipeline beside them: p50 against that without them', quantile(beside, 0.5) / quantile(alone, 0.5), 'x')

    bed.note('an event for one of them, by match', await wake(bed, client, 'one', 1), 'ms')
    const wokenMs = await wake(bed, client, 'others', count)
    bed.note('woken and done', (count - 1) / (wokenMs / 1000), '/s')
    while ((await listAll(client, 'RUNNING')).length > 0) await sleep(LOOK_MS)
    assert.equal((await listAll(client, 'COMPLETED')).length, count + 3 * probes)
    bed.tasks.ran.step.checkAndReset(count)
    await bed.checkNoDeadLetters(client)
  },
}

/** Pipeline 0 waits for another event than the others. Returns when all of them wait. */
async function submitWaiters({ tasks: { step } }: Bed, client: Client, count: number): Promise<void> {
  for (let i = 0; i < count; i += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, j) => {
      const whom = i + j === 0 ? 'one' : 'others'
      const pipeline = waitForEvent({ key: 'go', match: { whom } }).continueWith(step.send(i + j))
      return client.submit(pipeline)
    })
    await Promise.all(some)
  }
  // A wait leaves in the commit that takes the pipeline: what is sent after all of them is behind it, mostly.
  while ((await listAll(client, 'RUNNING')).length < count) await sleep(LOOK_MS)
}

/** Sends the event; returns how long it took until `total` steps have run in all. */
async function wake({ tasks: { ran } }: Bed, client: Client, whom: string, total: number): Promise<number> {
  const done = ran.step.reaches(total)
  const since = performance.now()
  for (;;) {
    await client.sendEvent({ key: 'go', value: { whom } })
    await Promise.race([done, sleep(AGAIN_MS, undefined, { ref: false })])
    if (ran.step.total >= total) return performance.now() - since
  }
}

/** One pipeline of one task at a time, from submit to result; in ms. */
async function timeProbes({ tasks: { probe, ran } }: Bed, client: Client, count: number): Promise<readonly number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const since = performance.now()
    const run = await client.submit(probe, i)
    assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), 'bench')
    times.push(performance.now() - since)
  }
  ran.probe.checkAndReset(count)
  return times
}
