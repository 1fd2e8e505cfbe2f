// A worker on a server. It ends with the process that has started it.
import { startWorker, TaskError, type Transport } from '@tasks/core'
import { silentLogger } from '@tasks/core/testing'
import { transportOf } from './place'
import { tasks } from './tasks'
import type { SupervisedOptions } from './worker-process'

const [url, adapter, options] = process.argv.slice(2) as [string, string, string]

process.on('disconnect', () => process.exit())
for (let started = false; !started;) {
  let transport: Transport | undefined
  try {
    transport = await transportOf({ url, adapter: new URL(adapter) })
    await startWorker({ tasks, transport, logger: silentLogger, ...(JSON.parse(options) as SupervisedOptions) })
    started = true
  } catch (error) {
    // The server may take longer to start again than the transport's patience.
    if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
    await transport?.close()
  }
}
process.send!('ready')
