import assert from 'node:assert/strict'
import { sleepUntil } from '@tasks/core'
import { PATIENCE_MS } from '../bed'
import { heldBytes } from '../heap'
import type { Workload } from '../workload'

const AT_ONCE = 1_000
/** Long enough for all of them to be asleep. */
const SLEEP_MS = 20_000

export const sleepingPipelines: Workload = {
  name: 'sleeping-pipelines',
  title: '10,000 pipelines asleep in the middle, that wake at the same time: memory for each, and how fast they go on',
  mostRounds: 2,
  async run(bed) {
    const count = bed.size(10_000, 200)
    const { client } = await bed.start()
    const { step, ran } = bed.tasks
    const before = await heldBytes()
    const wakeAt = Date.now() + (bed.quick ? 2_000 : SLEEP_MS)
    // Each runs with numbers of its own: 2 i before, and 2 i + 1 after.
    const pipeline = (i: number) =>
      step
        .send(2 * i)
        .continueWith(sleepUntil(wakeAt))
        .continueWith(step)
    const ids: string[] = []
    for (let i = 0; i < count; i += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, j) => client.submit(pipeline(i + j)))
      for (const { id } of await Promise.all(some)) ids.push(id)
    }
    await ran.step.reaches(count)
    assert.ok(Date.now() < wakeAt, 'the machine is too slow: some woke before all were asleep')
    bed.note('memory, asleep, each', ((await heldBytes()) - before) / count, 'B')
    const results = await Promise.all(ids.map((id) => client.attach<number>(id).result({ timeoutMs: PATIENCE_MS })))
    bed.note('woken and done', count / ((Date.now() - wakeAt) / 1000), '/s')
    assert.ok(results.every((result, i) => result === 2 * i + 2))
    ran.step.checkAndReset(2 * count)
    await bed.checkNoDeadLetters(client)
  },
}
