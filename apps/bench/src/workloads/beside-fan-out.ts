import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Client } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { quantile } from '../figures'
import type { Workload } from '../workload'
import { runFanOut } from './fan-out-run'

/** A definition holds a million tasks: the last is the one that takes the results. */
const MOST_CHILDREN = 999_999
const MINUTE_S = 60

export const besideFanOut: Workload = {
  name: 'beside-fan-out',
  title:
    'lone tasks one at a time, from enqueue to result, beside a 1-N-1 of a million children (or as many as a minute takes)',
  mostRounds: 1,
  async run(bed) {
    const { client } = await bed.start()
    const few = bed.size(20_000, 500)
    await runFanOut(bed, client, few)
    const rate = few / (await runFanOut(bed, client, few)).seconds
    const children = bed.size(Math.min(MOST_CHILDREN, Math.floor(rate * MINUTE_S)), 2_000)

    let sent = 0
    const alone = await timeLoneTasks(bed, client, () => ++sent < bed.size(2_000, 50))
    const { ran } = bed.tasks
    let running = true
    const eventLoop = monitorEventLoopDelay({ resolution: 1 })
    const fanOut = runFanOut(bed, client, children).finally(() => (running = false))
    // Until there are children, the process is busy with the definition.
    const before = await timeLoneTasks(bed, client, () => running && ran.noop.total === 0)
    eventLoop.enable()
    const beside = await timeLoneTasks(bed, client, () => running)
    eventLoop.disable()
    const { seconds } = await fanOut

    bed.note('children', children, '')
    bed.note('children, rate', children / seconds, '/s')
    bed.note('lone tasks while children run', beside.length, '')
    bed.note('p50, alone', quantile(alone, 0.5), 'ms')
    bed.note('p99, alone', quantile(alone, 0.99), 'ms')
    bed.note('p50, while children run', quantile(beside, 0.5), 'ms')
    bed.note('p99, while children run', quantile(beside, 0.99), 'ms')
    bed.note('longest, before the first child', quantile(before, 1), 'ms')
    bed.note('event loop blocked, longest of these', eventLoop.max / 1e6, 'ms')
    await bed.checkNoDeadLetters(client)
  },
}

/** In ms. */
async function timeLoneTasks(
  { tasks: { probe, ran } }: Bed,
  client: Client,
  goesOn: () => boolean,
): Promise<readonly number[]> {
  const times: number[] = []
  do {
    const since = performance.now()
    const task = await client.enqueue(probe, times.length, { reply: true })
    assert.equal(await task.result({ timeoutMs: PATIENCE_MS }), 'bench')
    times.push(performance.now() - since)
  } while (goesOn())
  ran.probe.checkAndReset(times.length)
  return times
}
