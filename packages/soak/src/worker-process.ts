// A worker in a process of its own, and another one in its place when it has died.
import type { WorkerOptions } from '@tasks/core'
import { fork, type ChildProcess } from 'node:child_process'
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
  /** When one of them works. */
  readonly started: Promise<void>
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
  let onReady!: () => void
  const ready = new Promise<void>((resolve) => (onReady = resolve))
  const start = (): ChildProcess => {
    const started = fork(PROGRAM, [url, adapter.href, JSON.stringify(options)], { execArgv: FROM_SOURCE })
    // One that dies before that is followed by another, which may be: it is counted, not waited for.
    started.once('message', onReady)
    started.on('exit', () => {
      if (stopped) return
      if (!killed.has(started)) deaths++
      child = start()
    })
    return started
  }
  child = start()
  return {
    started: ready,
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
