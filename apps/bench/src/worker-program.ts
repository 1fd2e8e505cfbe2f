// A worker in a process of its own. See worker-process.ts.
import { connect, startWorker } from '@tasks/core'
import { adaptersOf } from './adapters'
import { bindBenchTasks } from './bench-tasks'
import { CONCURRENCY } from './concurrency'
import type { WorkerAnswer, WorkerProcessOptions, WorkerRequest } from './worker-process'

const say = (answer: WorkerAnswer): void => void process.send!(answer)

async function work({ url, namespace, lane, label }: WorkerProcessOptions): Promise<void> {
  const { tasks, ran } = bindBenchTasks(namespace, label)
  const connection = await connect(url, { adapters: await adaptersOf(url) })
  const worker = await startWorker({
    tasks,
    transport: connection.transport,
    concurrency: CONCURRENCY,
    localLane: lane === 'local',
  })
  process.on('message', (request) => {
    if ((request as WorkerRequest).type === 'counts') {
      say({
        type: 'counts',
        counts: Object.fromEntries(Object.entries(ran).map(([name, tally]) => [name, tally.total])),
      })
    } else {
      void worker
        .close()
        .then(() => connection.close())
        .then(() => process.disconnect())
    }
  })
  say({ type: 'ready' })
}

process.once('message', (options) => void work(options as WorkerProcessOptions))
// Without its parent nobody would end it.
process.once('disconnect', () => process.exit())
