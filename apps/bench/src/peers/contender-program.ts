// The program of contender-process.ts.
import type { ContenderAnswers, ContenderProcessOptions, ContenderRequest } from './contender-process'
import { makeContender } from './contenders'

const say = (answer: Partial<ContenderAnswers>): void => void process.send!(answer)

async function work(options: ContenderProcessOptions): Promise<void> {
  const contender = await makeContender(options.name, options)
  const { noop, step } = contender.ran
  const worker = await contender.startWorker()
  process.on('message', (request: ContenderRequest) => {
    if (request === 'total') say({ total: noop.total })
    if (request === 'cpu') {
      const { user, system } = process.cpuUsage()
      say({ cpu: (user + system) / 1e6 })
    }
    if (request === 'tallies') say({ tallies: { noop: noop.counts(), step: step.counts() } })
    if (request === 'close')
      void worker
        .close()
        .then(() => contender.close())
        .then(() => process.disconnect())
  })
  say({ ready: true })
}

process.once('message', (options) => void work(options as ContenderProcessOptions))
// Without its parent nobody would end it.
process.once('disconnect', () => process.exit())
