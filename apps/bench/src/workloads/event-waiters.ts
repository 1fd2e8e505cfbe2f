import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitForEvent, type Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import type { BenchTasks } from '../bench-tasks'
import { costOfAsync, type Cost } from '../cost'
import { median } from '../figures'
import { heldBytes } from '../heap'
import type { Workload } from '../workload'
import { listAll } from './waiting-pipelines'

const AT_ONCE = 1_000
/** How many wait, of all, when a pipeline beside them is timed. */
const SHARES = [0.1, 0.3, 1]
/** A list of all of them takes a while. */
const LOOK_MS = 500
/** Where a transport keeps no order of sends, somebody may have begun to wait behind the event: another one is for them. */
const AGAIN_MS = 60_000

interface Namespace {
  readonly client: Client
  readonly tasks: BenchTasks
}

export const eventWaiters: Workload = {
  name: 'event-waiters',
  title:
    '100,000 pipelines that wait for an event of one key: what one of them holds, what they cost a pipeline beside them, and how fast they wake',
  mostRounds: 2,
  async run(bed) {
    const count = bed.size(100_000, 300)
    const probes = bed.size(1_000, 20)
    const { client } = await bed.start()
    const here = { client, tasks: bed.tasks }
    const neighbour = await bed.startNeighbour()
    await probeInTurns(here, neighbour, probes)
    bed.startProfile()

    let waiting = 0
    for (const share of SHARES) {
      const before = waiting
      waiting = count * share
      const heldBefore = await heldBytes()
      const fileBefore = bed.usedOfFile()
      const submitted = await costOfAsync(() => submitWaiters(bed, client, before, waiting))
      const held = (await heldBytes()) - heldBefore
      const file = bed.usedOfFile()
      await bed.settleServer()
      const { beside, without } = await probeInTurns(here, neighbour, probes)
      const title = `a pipeline beside ${waiting.toLocaleString('en')}`
      bed.note(`${title}, p50`, beside.seconds * 1_000, 'ms')
      bed.note(`${title}: p50 against where nobody waits`, beside.seconds / without.seconds, 'x')
      bed.note(`${title}: CPU against where nobody waits`, beside.cpuSeconds / without.cpuSeconds, 'x', { most: 1.25 })
      if (share < 1) continue
      // Of the last, which are the most.
      const many = waiting - before
      bed.note('submitted and waiting', many / submitted.seconds, '/s')
      bed.note('submitted and waiting: CPU each', (submitted.cpuSeconds / many) * 1e6, 'µs')
      bed.note("memory, waiting, each (owner and store, this process's)", held / many, 'B')
      if (file !== undefined) bed.note('file of the store, waiting, each', (file - fileBefore!) / many, 'B')
    }

    const found = await costOfAsync(() => wake(bed, client, 'one', 1))
    bed.note('an event for one of them, by match', found.seconds * 1_000, 'ms')
    const woken = await costOfAsync(() => wake(bed, client, 'others', count))
    bed.note('woken and done', (count - 1) / woken.seconds, '/s')
    bed.note('woken and done: CPU each', (woken.cpuSeconds / (count - 1)) * 1e6, 'µs')
    while ((await listAll(client, 'RUNNING')).length > 0) await sleep(LOOK_MS)
    assert.equal((await listAll(client, 'COMPLETED')).length, count + (1 + SHARES.length) * probes)
    bed.tasks.ran.step.checkAndReset(count)
    await bed.checkNoDeadLetters(client)
  },
}

/** Those from one number to another, of which 0 waits for another event than the others. Returns when all of them wait. */
async function submitWaiters({ tasks: { step } }: Bed, client: Client, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, to - i) }, (_, j) => {
      const whom = i + j === 0 ? 'one' : 'others'
      const pipeline = waitForEvent({ key: 'go', match: { whom } }).continueWith(step.send(i + j))
      return client.submit(pipeline)
    })
    await Promise.all(some)
  }
  // A wait leaves in the commit that takes the pipeline: what is sent after all of them is behind it, mostly.
  while ((await listAll(client, 'RUNNING')).length < to) await sleep(LOOK_MS)
}

/** Sends the event; returns when `total` steps have run in all. */
async function wake({ tasks: { ran } }: Bed, client: Client, whom: string, total: number): Promise<void> {
  const done = ran.step.reaches(total)
  for (;;) {
    await client.sendEvent({ key: 'go', value: { whom } })
    await Promise.race([done, sleep(AGAIN_MS, undefined, { ref: false })])
    if (ran.step.total >= total) return
  }
}

interface Probed {
  readonly beside: Cost
  readonly without: Cost
}

/** One pipeline of one task at a time, from submit to result, in either namespace in turns: what slows the machine down slows both. Medians. */
async function probeInTurns(here: Namespace, neighbour: Namespace, count: number): Promise<Probed> {
  const beside: Cost[] = []
  const without: Cost[] = []
  for (let i = 0; i < count; i++) {
    beside.push(await costOfAsync(() => probe(here, i)))
    without.push(await costOfAsync(() => probe(neighbour, i)))
  }
  for (const { tasks } of [here, neighbour]) tasks.ran.probe.checkAndReset(count)
  return { beside: medianOf(beside), without: medianOf(without) }
}

async function probe({ client, tasks }: Namespace, index: number): Promise<void> {
  const run = await client.submit(tasks.probe, index)
  assert.equal(await run.result({ timeoutMs: PATIENCE_MS }), 'bench')
}

const medianOf = (costs: readonly Cost[]): Cost => ({
  seconds: median(costs.map(({ seconds }) => seconds)),
  cpuSeconds: median(costs.map(({ cpuSeconds }) => cpuSeconds)),
})
