import { heldBytes } from '../heap'
import type { Workload } from '../workload'

const SAMPLES = 20

export const memoryGrowth: Workload = {
  name: 'memory-growth',
  title: 'a million lone tasks, 10,000 at a time: whether the process grows with them',
  mostRounds: 1,
  async run(bed) {
    const batch = bed.size(10_000, 100)
    const batches = 100
    const { noop, ran } = bed.tasks
    const { client, worker } = await bed.start()
    const inputs = Array.from({ length: batch }, (_, i) => i)
    const samples: (readonly [tasks: number, bytes: number])[] = []
    for (let i = 1; i <= batches; i++) {
      const done = ran.noop.reaches(batch)
      await client.enqueueMany(noop, inputs)
      await done
      ran.noop.checkAndReset(batch)
      if (i % (batches / SAMPLES) === 0) samples.push([i * batch, await heldBytes()])
    }
    // The first fifth is compilation and caches that fill.
    const settled = samples.slice(SAMPLES / 5)
    bed.note('held in the end', samples.at(-1)![1] / 2 ** 20, 'MiB')
    bed.note('growth per million tasks', (slopeOf(settled) * 1e6) / 2 ** 20, 'MiB', { most: 1 })
    const used = bed.usedOfFile()
    if (used !== undefined) bed.note('file in the end', used / 2 ** 20, 'MiB')
    await bed.checkNoDeadLetters(client)
    await worker.close()
    await bed.checkQueueIsEmpty()
  },
}

/** Of the line through the points with the least squares. */
function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (at: 0 | 1): number => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const above = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return above / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}
