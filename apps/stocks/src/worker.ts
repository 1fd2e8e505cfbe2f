// A worker process of the demo. It runs the tasks of tasks.ts as they are, and reports over IPC when each starts and
// ends.
import { setTimeout as sleep } from 'node:timers/promises'
import { createTasks, startWorker, taskContext, type Tasks } from '@tasks/core'
import type { Report } from './reports'
import { tasks } from './tasks'

const [, , transport = '', taskMs = '0'] = process.argv

/** The same tasks, under the same names and options, that report. */
function reporting(plain: Tasks): Tasks {
  const registry = createTasks({ namespace: plain.namespace })
  for (const name of plain.names()) {
    const { fn, options } = plain.find(name)!
    registry.bind(
      name,
      async (...args: readonly unknown[]) => {
        const { taskId, rootId } = taskContext()
        // Before the function runs: a start that is followed by SIGKILL counts too.
        await tell({ type: 'start', task: name, taskId, rootId, args })
        await sleep(Number(taskMs))
        const result = await fn(...args)
        await tell({ type: 'end', taskId, rootId })
        return result
      },
      options,
    )
  }
  return registry
}

/** Resolves when the report has left this process, or nobody is there to hear it: the tasks go on without the demo. */
function tell(report: Report): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve()
    // An error says that the demo is gone, now and then before `disconnect` does. What cannot be sent throws at once.
    process.send!(report, undefined, {}, () => resolve())
  })
}

const worker = await startWorker({ tasks: reporting(tasks), transport, handleSignals: true })
// The demo is over, however it ended.
process.once('disconnect', () => void worker.close())
await tell({ type: 'ready' })
await worker.closed
if (process.connected) process.disconnect()
