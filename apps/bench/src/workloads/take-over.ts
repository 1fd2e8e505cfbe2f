import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@tasks/core'
import { everyPartitionAnswers, PATIENCE_MS, type Bed, type Host } from '../bed'
import { quantile } from '../figures'
import type { Workload } from '../workload'
import { submitWaiting } from './waiting-pipelines'

const PATIENCE_FOR_SHARES_MS = 30_000

export const takeOver: Workload = {
  name: 'take-over',
  title:
    'from the end of one of two workers until every partition runs tasks again: it closes, or is killed; and with 10,000 pipelines waiting',
  async run(bed) {
    const client = bed.createClient()
    const live = bed.size(10_000, 200)
    const times = bed.size(5, 1)
    const canCrash = bed.transport.capabilities.shared
    let started = 0
    const start = (): Promise<Host> => bed.startHost(`worker ${++started}`)
    let survivor = await start()
    await everyPartitionAnswers(client)
    const undisturbed = await probeAll(bed, client)
    bed.note('undisturbed', undisturbed.ms, 'ms')

    const endOne = async (end: (host: Host) => unknown): Promise<number> => {
      const other = await start()
      await bothOwn(bed, client)
      const old = survivor
      survivor = other
      const since = performance.now()
      const ending = end(old)
      await probeAll(bed, client)
      const ms = performance.now() - since
      await ending
      // A killed process is gone before another begins.
      await old.close()
      return ms
    }
    const noteAll = async (name: string, most: number, end: (host: Host) => unknown): Promise<void> => {
      const all: number[] = []
      for (let i = 0; i < times; i++) all.push(await endOne(end))
      bed.note(`${name}, median`, quantile(all, 0.5), 'ms', { most })
      bed.note(`${name}, longest`, quantile(all, 1), 'ms')
    }
    const close = (host: Host): Promise<unknown> => host.close()
    const kill = (host: Host): void => host.kill!()

    await noteAll('planned', 200, close)
    if (canCrash) await noteAll('killed', 1_000, kill)

    await submitWaiting(bed, client, live)
    await noteAll(`planned, ${live.toLocaleString('en')} waiting`, 200, close)
    if (canCrash) await noteAll(`killed, ${live.toLocaleString('en')} waiting`, 1_000, kill)

    await survivor.close()
    const since = performance.now()
    await start()
    bed.note(`first worker ready, ${live.toLocaleString('en')} waiting`, performance.now() - since, 'ms')
    await probeAll(bed, client)
    bed.note('… and every partition runs tasks', performance.now() - since, 'ms')
    await bed.checkNoDeadLetters(client)
  },
}

/** A task in every partition, several times over. Returns when the last has its result, and where they ran. */
async function probeAll(
  { tasks: { probe }, checkCompleted }: Bed,
  client: Client,
): Promise<{ readonly ms: number; readonly labels: readonly string[] }> {
  const { partitions } = await client.owners()
  const since = performance.now()
  const runs = await Promise.all(Array.from({ length: partitions * 10 }, (_, i) => client.submit(probe, i)))
  const labels = await Promise.all(runs.map((run) => run.result({ timeoutMs: PATIENCE_MS })))
  const ms = performance.now() - since
  for (const run of runs) await checkCompleted(run, 1)
  return { ms, labels }
}

/** Where tasks run beside their owner, they tell whether each of two workers owns something. */
async function bothOwn(bed: Bed, client: Client): Promise<void> {
  if (bed.lane === 'queue') return sleep(3_000)
  const since = performance.now()
  while (performance.now() - since < PATIENCE_FOR_SHARES_MS) {
    const { labels } = await probeAll(bed, client)
    const share = labels.filter((label) => label === labels[0]).length / labels.length
    if (share > 0.25 && share < 0.75) return
    await sleep(50)
  }
  assert.fail('the partitions were not shared out between two workers')
}
