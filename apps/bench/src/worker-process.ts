import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface WorkerProcessOptions {
  readonly url: string
  readonly namespace: string
  readonly lane: 'local' | 'queue'
  readonly label: string
}

export type WorkerRequest = { readonly type: 'counts' } | { readonly type: 'close' }
export type WorkerAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'counts'; readonly counts: Readonly<Record<string, number>> }

/** A worker in a process of its own. */
export interface WorkerProcess {
  /** How often each of its tasks has run. */
  counts(): Promise<Readonly<Record<string, number>>>
  /** Resolves when the process has ended. */
  close(): Promise<void>
  kill(): void
}

export async function startWorkerProcess(options: WorkerProcessOptions): Promise<WorkerProcess> {
  // Both programs are compiled into one folder.
  const child = fork(fileURLToPath(new URL('worker-program.mjs', import.meta.url)), [], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.send(options)
  await nextAnswer(child)
  return {
    async counts() {
      child.send({ type: 'counts' } satisfies WorkerRequest)
      const answer = await nextAnswer(child)
      return answer.type === 'counts' ? answer.counts : {}
    },
    async close() {
      if (child.connected) child.send({ type: 'close' } satisfies WorkerRequest)
      await ended
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

async function nextAnswer(child: ChildProcess): Promise<WorkerAnswer> {
  const answer = await Promise.race([
    once(child, 'message').then(([message]) => message as WorkerAnswer),
    once(child, 'exit').then(([code, signal]) => `a worker's process ended with ${signal ?? code}`),
  ])
  if (typeof answer === 'string') throw new Error(answer)
  return answer
}
