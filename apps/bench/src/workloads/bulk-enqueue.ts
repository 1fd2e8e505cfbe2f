import { costOfAsync } from '../cost'
import type { Workload } from '../workload'

const AT_ONCE = 1_000

export const bulkEnqueue: Workload = {
  name: 'bulk-enqueue',
  title:
    '100,000 lone tasks by enqueueMany, and by single calls of which 1,000 are under way at a time; no worker is up',
  async run(bed) {
    const count = bed.size(100_000, 2_000)
    const { noop, ran } = bed.tasks
    const client = bed.createClient()
    const inputs = Array.from({ length: count }, (_, i) => i)
    let times = 0
    const many = await bed.takeTurns(2, 'sends', count, () => {
      times++
      return costOfAsync(() => client.enqueueMany(noop, inputs))
    })
    const single = await bed.takeTurns(1, 'sends', count, () => {
      times++
      return costOfAsync(async () => {
        for (let i = 0; i < count; i += AT_ONCE)
          await Promise.all(inputs.slice(i, i + AT_ONCE).map((index) => client.enqueue(noop, index)))
      })
    })
    bed.noteTurns('tasks by enqueueMany', count, 'sends', many, {
      kafka: { most: 1 / 0.7 },
      nats: { most: 1 / 0.7 },
    })
    bed.noteTurns('tasks by single calls', count, 'sends', single)

    const done = ran.noop.reaches(times * count)
    const worker = await bed.startWorker()
    await done
    await worker.close()
    ran.noop.checkAndReset(count, times)
    await bed.checkQueueIsEmpty()
    await bed.checkNoDeadLetters(client)
  },
}
