// A worker on a server. It ends with the process that has started it.
import { startWorker, type Logger, type WorkerOptions } from '@tasks/core'
import { redisTransport } from '../../src/index'
import { tasks } from '../support/tasks'

const [url, options] = process.argv.slice(2) as [string, string]
const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

process.on('disconnect', () => process.exit())
await startWorker({
  tasks,
  transport: redisTransport({ url }),
  logger: silent,
  ...(JSON.parse(options) as Partial<WorkerOptions>),
})
process.send!('ready')
