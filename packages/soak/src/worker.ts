// A worker on a server. It ends with the process that has started it.
import { startWorker, type Adapter, type Logger, type WorkerOptions } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import { tasks } from './tasks'

const [url, adapter, options] = process.argv.slice(2) as [string, string, string]
const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

process.on('disconnect', () => process.exit())
const { fromUrl } = (await import(adapter)) as Adapter
await startWorker({
  tasks,
  transport: await fromUrl(url, { clock: systemClock }),
  logger: silent,
  ...(JSON.parse(options) as Partial<WorkerOptions>),
})
process.send!('ready')
