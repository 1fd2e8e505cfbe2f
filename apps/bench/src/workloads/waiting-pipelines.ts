import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, PipelineStatus } from '@tasks/core'
import type { Bed } from '../bed'
import { heldBytes } from '../heap'
import type { Workload } from '../workload'

const HOUR_MS = 3_600_000
const AT_ONCE = 1_000
const PAGE = 10_000

export const waitingPipelines: Workload = {
  name: 'waiting-pipelines',
  title: '100,000 pipelines that wait for an hour: what one of them takes of the memory of its owner, and of the store',
  mostRounds: 2,
  async run(bed) {
    const count = bed.size(100_000, 500)
    const { worker, client } = await bed.start()
    await client.close()
    const before = await heldBytes()

    const submitter = bed.createClient()
    const since = performance.now()
    await submitWaiting(bed, submitter, count)
    bed.note('submitted and taken', count / ((performance.now() - since) / 1000), '/s')
    await submitter.close()

    const owned = await heldBytes()
    await worker.close()
    const left = await heldBytes()
    bed.note('memory of the owner, each', (owned - left) / count, 'B')
    bed.note("memory of the store, each (this process's)", (left - before) / count, 'B')
    const used = bed.usedOfFile()
    if (used !== undefined) bed.note('file of the store, each', used / count, 'B')
    assert.equal(bed.tasks.ran.step.total, 0, 'a task ran before its time')
  },
}

/** Returns when their owners have them. */
export async function submitWaiting({ tasks: { step } }: Bed, client: Client, count: number): Promise<void> {
  const ids = new Set<string>()
  for (let i = 0; i < count; i += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, j) =>
      client.submit(step, i + j, { delayMs: HOUR_MS }),
    )
    for (const { id } of await Promise.all(some)) ids.add(id)
  }
  for (;;) {
    const taken = await listAll(client, 'RUNNING')
    if (taken.length < count) {
      await sleep(200)
      continue
    }
    assert.equal(taken.length, count)
    for (const { id, tasks, done, attempts } of taken) {
      assert.ok(ids.has(id), `${id} was never submitted`)
      assert.deepEqual([tasks, done, attempts], [1, 0, 0], `of ${id}`)
    }
    return
  }
}

export async function listAll(
  client: Client,
  status: Exclude<PipelineStatus['status'], 'PENDING'>,
): Promise<readonly PipelineStatus[]> {
  const all: PipelineStatus[] = []
  for (let next: string | undefined; ;) {
    const page = await client.list({ limit: PAGE, status, ...(next === undefined ? {} : { after: next }) })
    all.push(...page.pipelines)
    next = page.after
    if (next === undefined) return all
  }
}
