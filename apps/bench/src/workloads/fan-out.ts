import assert from 'node:assert/strict'
import { everyPartitionAnswers } from '../bed'
import type { Workload } from '../workload'
import { measureFanOut, runFanOut } from './fan-out-run'

export const fanOut: Workload = {
  name: 'fan-out',
  title:
    '1-N-1 with 20,000 children: a task returns a group, and another takes the results; here, and by two processes',
  async run(bed) {
    const children = bed.size(20_000, 500)
    const { client, worker } = await bed.start()
    const turns = await bed.takeTurns(10, 'items', children, () => runFanOut(bed, client, children))
    bed.noteTurns('children', children, 'items', turns, {
      memory: { most: 5 },
      sqlite: { most: 2 },
      kafka: { most: 0.5 },
      nats: { most: 0.5 },
    })
    await bed.checkNoDeadLetters(client)
    if (!bed.transport.capabilities.shared) return

    await worker.close()
    // Each child goes through a queue, whoever owns its partition.
    const workers = [await bed.startWorkerProcess('queue'), await bed.startWorkerProcess('queue')]
    await everyPartitionAnswers(client)
    let runs = 0
    const apart = await bed.takeTurns(3, 'items', children, () => {
      runs++
      return measureFanOut(bed, client, children)
    })
    bed.noteTurns('children, two processes', children, 'items', apart, {
      kafka: { most: 2 },
      nats: { most: 1 / 0.3 },
    })
    const counts = await Promise.all(workers.map((process) => process.counts()))
    const ran = counts.reduce((sum, { noop = 0 }) => sum + noop, 0)
    assert.equal(ran, runs * children, 'children did not run once each')
    await bed.checkNoDeadLetters(client)
  },
}
