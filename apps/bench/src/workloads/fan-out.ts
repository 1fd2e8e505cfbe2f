import type { Workload } from '../workload'
import { runFanOut } from './fan-out-run'

export const fanOut: Workload = {
  name: 'fan-out',
  title: '1-N-1 with 20,000 children: a task returns a group, and another takes the results',
  async run(bed) {
    const children = bed.size(20_000, 500)
    const { client } = await bed.start()
    const turns = await bed.takeTurns(6, 'items', children, () => runFanOut(bed, client, children))
    bed.noteTurns('children', children, 'items', turns, { memory: { most: 5 }, sqlite: { most: 2 } })
    await bed.checkNoDeadLetters(client)
  },
}
