import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { sleepUntil, type Client, type PipelineHandle } from '@tasks/core'
import { PATIENCE_MS, type Bed } from '../bed'
import { costOfAsync, sumOf, type Cost } from '../cost'
import { heldBytes } from '../heap'
import type { Workload } from '../workload'

const AT_ONCE = 1_000
/** Long enough for the first few to be asleep on a machine that is busy. */
const FIRST_SLEEP_MS = 15_000
const SPARE_MS = 3_000

export const sleepingPipelines: Workload = {
  name: 'sleeping-pipelines',
  title:
    '10,000 pipelines asleep in the middle, that wake at the same time: what one takes to fall asleep, while it sleeps and when it wakes, and how that compares with one of 1,000',
  mostRounds: 2,
  async run(bed) {
    const few = bed.size(1_000, 50)
    const many = bed.size(10_000, 200)
    const { client } = await bed.start()
    // Once to get warm, and to learn how long they take to fall asleep.
    const warm = await putToSleep(bed, client, few, bed.quick ? 2_000 : FIRST_SLEEP_MS)
    const sleepMs = (count: number): number => SPARE_MS + (4_000 * warm.asleep.seconds * count) / few
    // On both sides of the many: what slows the machine down slows them all.
    const before = await putToSleep(bed, client, few, sleepMs(few))
    bed.startProfile()
    const large = await putToSleep(bed, client, many, sleepMs(many))
    const after = await putToSleep(bed, client, few, sleepMs(few))

    bed.note('submitted and asleep', many / large.asleep.seconds, '/s')
    bed.note('woken and done', many / large.awake.seconds, '/s')
    bed.note('memory, asleep, each', large.bytes / many, 'B')
    bed.note('memory, asleep, each of 1,000', (before.bytes + after.bytes) / (2 * few), 'B')
    if (large.fileBytes !== undefined) {
      bed.note('file, asleep, each', large.fileBytes / many, 'B')
      bed.note('file, asleep, each of 1,000', (before.fileBytes! + after.fileBytes!) / (2 * few), 'B')
    }
    const compare = (phase: string, much: Cost, little: Cost): void => {
      const scale = (2 * few) / many
      bed.note(`${phase}: CPU each`, (much.cpuSeconds / many) * 1e6, 'µs')
      bed.note(`${phase}: time of one, 10,000 against 1,000`, (much.seconds / little.seconds) * scale, 'x')
      bed.note(`${phase}: CPU of one, 10,000 against 1,000`, (much.cpuSeconds / little.cpuSeconds) * scale, 'x', {
        most: 1.25,
      })
    }
    compare('falling asleep', large.asleep, sumOf(before.asleep, after.asleep))
    compare('waking up', large.awake, sumOf(before.awake, after.awake))
    await bed.checkNoDeadLetters(client)
  },
}

interface Slept {
  /** From the first submit until all are asleep. */
  readonly asleep: Cost
  /** From when they wake until all have ended. */
  readonly awake: Cost
  /** What they hold while they sleep, of this process and of the file of the store. */
  readonly bytes: number
  readonly fileBytes: number | undefined
}

async function putToSleep(bed: Bed, client: Client, count: number, sleepMs: number): Promise<Slept> {
  const { step, ran } = bed.tasks
  const heldBefore = await heldBytes()
  const fileBefore = bed.usedOfFile()
  const wakeAt = Date.now() + sleepMs
  // Each runs with numbers of its own: 2 i before, and 2 i + 1 after.
  const pipeline = (i: number) =>
    step
      .send(2 * i)
      .continueWith(sleepUntil(wakeAt))
      .continueWith(step)
  const runs: PipelineHandle<number>[] = []
  const asleep = await costOfAsync(async () => {
    for (let i = 0; i < count; i += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, j) => client.submit(pipeline(i + j)))
      for (const run of await Promise.all(some)) runs.push(run)
    }
    await ran.step.reaches(count)
  })
  const bytes = (await heldBytes()) - heldBefore
  const fileAfter = bed.usedOfFile()
  assert.ok(Date.now() < wakeAt, 'the machine is too slow: some woke before all were asleep')
  await sleep(wakeAt - Date.now())
  let results: readonly number[] = []
  const awake = await costOfAsync(async () => {
    results = await Promise.all(runs.map((run) => run.result({ timeoutMs: PATIENCE_MS })))
  })
  assert.ok(results.every((result, i) => result === 2 * i + 2))
  ran.step.checkAndReset(2 * count)
  const fileBytes = fileBefore === undefined || fileAfter === undefined ? undefined : fileAfter - fileBefore
  return { asleep, awake, bytes, fileBytes }
}
