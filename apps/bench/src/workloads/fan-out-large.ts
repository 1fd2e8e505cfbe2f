import { NO_COST, sumOf } from '../cost'
import type { Workload } from '../workload'
import { runFanOut } from './fan-out-run'

export const fanOutLarge: Workload = {
  name: 'fan-out-large',
  title: '1-N-1 with 250,000 children, and what a child of it costs against one of 1,000',
  async run(bed) {
    const few = bed.size(1_000, 100)
    const many = bed.size(250_000, 5_000)
    const { client } = await bed.start()
    const repeat = 20
    const small = await bed.takeTurns(3, 'items', few * repeat, async () => {
      let cost = NO_COST
      for (let i = 0; i < repeat; i++) cost = sumOf(cost, await runFanOut(bed, client, few))
      return cost
    })
    const large = await bed.takeTurns(1, 'items', many, () => runFanOut(bed, client, many))
    bed.noteTurns('children, 250,000', many, 'items', large, {
      memory: { most: 5 },
      sqlite: { most: 2 },
      kafka: { most: 0.5 },
    })
    bed.note('children, 1,000', (few * repeat) / small.seconds, '/s')
    const scale = (few * repeat) / many
    bed.note('time of a child, 250,000 against 1,000', (large.seconds / small.seconds) * scale, 'x', { most: 1.25 })
    bed.note('CPU of a child, 250,000 against 1,000', (large.cpuSeconds / small.cpuSeconds) * scale, 'x')
    await bed.checkNoDeadLetters(client)
  },
}
