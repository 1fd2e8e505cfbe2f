// A worker on a server. It ends with the process that has started it.
import { startWorker, TaskError, type Adapter, type Logger, type Transport, type WorkerOptions } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import { tasks } from './tasks'

const [url, adapter, options] = process.argv.slice(2) as [string, string, string]
const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

process.on('disconnect', () => process.exit())
const { fromUrl } = (await import(adapter)) as Adapter
for (let started = false; !started;) {
  let transport: Transport | undefined
  try {
    transport = await fromUrl(url, { clock: systemClock })
    await startWorker({ tasks, transport, logger: silent, ...(JSON.parse(options) as Partial<WorkerOptions>) })
    started = true
  } catch (error) {
    // The server may take longer to start again than the transport's patience.
    if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
    await transport?.close()
  }
}
process.send!('ready')
