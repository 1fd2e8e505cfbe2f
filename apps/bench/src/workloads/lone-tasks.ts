import assert from 'node:assert/strict'
import type { Host } from '../bed'
import { costOfAsync, type Cost } from '../cost'
import type { Workload } from '../workload'

export const loneTasks: Workload = {
  name: 'lone-tasks',
  title:
    'lone no-op tasks at concurrency 100: from enqueue to done, and when the queue was filled before the worker started',
  async run(bed) {
    const count = bed.size(50_000, 1_000)
    const { noop, ran } = bed.tasks
    const client = bed.createClient()
    const inputs = Array.from({ length: count }, (_, i) => i)

    const preload = async (run: () => Promise<{ readonly worker: Host; readonly cost: Cost }>): Promise<Cost> => {
      await client.enqueueMany(noop, inputs)
      const { worker, cost } = await run()
      await worker.close()
      await bed.checkQueueIsEmpty()
      ran.noop.checkAndReset(count)
      return cost
    }
    const preloaded = await bed.takeTurns(4, 'deliveries', count, () =>
      preload(async () => {
        let worker: Host | undefined
        const cost = await costOfAsync(async () => {
          const done = ran.noop.reaches(count)
          worker = await bed.startWorker()
          await done
        })
        return { worker: worker!, cost }
      }),
    )
    const underWay = await bed.takeTurns(4, 'deliveries', count, () =>
      preload(async () => {
        const first = ran.noop.reaches(1)
        const starting = bed.startWorker()
        await first
        const cost = await costOfAsync(() => ran.noop.reaches(count))
        return { worker: await starting, cost }
      }),
    )
    const worker = await bed.startWorker()
    const through = await bed.takeTurns(3, 'items', count, async () => {
      const cost = await costOfAsync(async () => {
        const done = ran.noop.reaches(count)
        await client.enqueueMany(noop, inputs)
        await done
      })
      // A task that was not acknowledged would run again, and be counted in the next turn.
      ran.noop.checkAndReset(count)
      return cost
    })
    bed.noteTurns('tasks, enqueue to done', count, 'items', through)
    bed.noteTurns('tasks, preloaded', count, 'deliveries', preloaded, { nats: { most: 1 / 0.7 } })
    bed.noteTurns('tasks, preloaded, from the first', count, 'deliveries', underWay, { kafka: { most: 2 } })
    await bed.checkNoDeadLetters(client)
    await worker.close()
    await bed.checkQueueIsEmpty()
    assert.equal(ran.noop.total, 0, 'a task ran again')
  },
}
