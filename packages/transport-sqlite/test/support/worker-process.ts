// Workers in processes of their own, and somebody who starts another one when one dies.
import type { WorkerOptions } from '@tasks/core'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const PROGRAM = fileURLToPath(new URL('../programs/worker.ts', import.meta.url))
export const FROM_SOURCE = ['--import', 'tsx', '--conditions=@tasks/source']

export type WorkerProcessOptions = Partial<
  Pick<WorkerOptions, 'concurrency' | 'leaseMs' | 'localLane' | 'maxDeliveries'>
>

export interface WorkerProcess {
  readonly pid: number
  kill(signal: NodeJS.Signals): void
  /** Lines that its tasks have written. */
  readonly lines: readonly string[]
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

export async function startWorkerProcess(path: string, options: WorkerProcessOptions = {}): Promise<WorkerProcess> {
  const worker = launch(path, options)
  await ready(worker)
  return worker
}

interface Launched extends WorkerProcess {
  readonly child: ChildProcess
}

function launch(path: string, options: WorkerProcessOptions): Launched {
  const child = fork(PROGRAM, [path, JSON.stringify(options)], {
    execArgv: FROM_SOURCE,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  let rest = ''
  child.stdout!.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
  })
  // Not 'exit': what it has written may come after that.
  const exited = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }))
  return { child, pid: child.pid!, lines, exited, kill: (signal) => void child.kill(signal) }
}

/** Whether it came so far. A worker that finds something deadly in its queue may not. */
async function ready({ child, exited }: Launched): Promise<boolean> {
  return Promise.race([once(child, 'message').then(() => true), exited.then(() => false)])
}

export interface Supervisor {
  /** How many have died by themselves. */
  readonly deaths: number
  /** Kills the one that runs; another one takes its place. */
  kill(): void
}

/** Keeps one worker running. */
export async function supervise(path: string, options: WorkerProcessOptions = {}): Promise<Supervisor> {
  let current: Launched
  let stopped = false
  let deaths = 0
  const killed = new Set<WorkerProcess>()
  const start = (): Launched => {
    const worker = launch(path, options)
    void worker.exited.then(() => {
      if (stopped) return
      if (!killed.has(worker)) deaths++
      current = start()
    })
    return worker
  }
  onTestFinished(() => {
    stopped = true
  })
  current = start()
  await ready(current)
  return {
    get deaths() {
      return deaths
    },
    kill() {
      killed.add(current)
      current.kill('SIGKILL')
    },
  }
}
