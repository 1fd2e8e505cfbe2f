// A worker in a process of its own, and another one in its place when it has died.
import type { WorkerOptions } from '@tasks/core'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Place } from './place'

const PROGRAM = fileURLToPath(new URL('worker.ts', import.meta.url))
const FROM_SOURCE = ['--import', 'tsx', '--conditions=@tasks/source']

export type SupervisedOptions = Partial<
  Pick<
    WorkerOptions,
    'concurrency' | 'leaseMs' | 'localLane' | 'partitions' | 'events' | 'durableWorkerEvents' | 'roles'
  >
>

export interface Supervised {
  /** When the first of them works. */
  readonly started: Promise<unknown>
  /** To the process that runs now. */
  signal(signal: NodeJS.Signals): void
  /** How many have died although nobody killed them. */
  readonly deaths: number
  /** Kills it, for good. */
  stop(): void
}

export function supervise({ url, adapter }: Place, options: SupervisedOptions): Supervised {
  let child: ChildProcess
  let stopped = false
  let deaths = 0
  const killed = new Set<ChildProcess>()
  const start = (): ChildProcess => {
    const started = fork(PROGRAM, [url, adapter.href, JSON.stringify(options)], { execArgv: FROM_SOURCE })
    started.on('exit', () => {
      if (stopped) return
      if (!killed.has(started)) deaths++
      child = start()
    })
    return started
  }
  child = start()
  return {
    started: once(child, 'message'),
    signal(signal) {
      if (signal === 'SIGKILL') killed.add(child)
      child.kill(signal)
    },
    get deaths() {
      return deaths
    },
    stop() {
      stopped = true
      child.kill('SIGKILL')
    },
  }
}
