// A worker in a process of its own, as it would be in production: so that it can be killed.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Report } from './reports'

export interface WorkerProcessOptions {
  readonly transport: string
  /** How much longer each task takes. */
  readonly taskMs: number
  readonly onReport: (report: Report) => void
}

export class WorkerProcess {
  readonly #child: ChildProcess
  /** Rejects if the process ends though nobody has ended it. */
  readonly failed: Promise<never>
  readonly #exited: Promise<readonly [code: number | null, signal: string | null]>
  #ending = false

  constructor({ transport, taskMs, onReport }: WorkerProcessOptions) {
    this.#child = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), [transport, String(taskMs)], {
      execArgv: process.execArgv,
      // Stdout belongs to the result of the demo.
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    this.#child.on('message', (report) => onReport(report as Report))
    const exit = once(this.#child, 'exit') as Promise<[number | null, string | null]>
    // What it has reported may still be on its way when it is gone.
    const silence = once(this.#child, 'disconnect')
    this.#exited = Promise.all([exit, silence]).then(([how]) => how)
    this.failed = this.#exited.then(([code, signal]) => {
      if (this.#ending) return new Promise<never>(() => undefined)
      throw new Error(`the worker process ended by itself (${signal ?? `exit code ${code}`}); what it said is above`)
    })
    // Whoever waits for it is told; nobody has to.
    this.failed.catch(() => undefined)
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** SIGKILL: no goodbye. */
  async kill(): Promise<void> {
    this.#ending = true
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  async close(): Promise<void> {
    this.#ending = true
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
  }
}
