// A worker, as `startWorker` makes it. It ends with the process that has started it.
import { startWorker, type WorkerOptions } from '@tasks/core'
import { silentLogger } from '@tasks/core/testing'
import { sqliteTransport } from '../../src/index'
import '../support/recipes'
import { tasks } from '../support/tasks'

const [path, options] = process.argv.slice(2) as [string, string]

await startWorker({
  tasks,
  transport: sqliteTransport({ path }),
  logger: silentLogger,
  ...(JSON.parse(options) as Partial<WorkerOptions>),
})
process.on('disconnect', () => process.exit())
process.send!('ready')
