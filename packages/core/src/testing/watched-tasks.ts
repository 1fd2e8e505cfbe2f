// A registry for a test: some functions replaced, some starts made to fail, and every start noted.
import { taskContext } from '../context'
import { TaskError } from '../errors'
import type { AnyTask, Tasks } from '../tasks'
import type { TaskSource } from '../worker/task-source'
import type { TestOptions, TimelineEntry } from './test-pipeline'

export class WatchedTasks implements TaskSource {
  readonly namespace: string
  /** Functions that run now. */
  busy = 0
  readonly #tasks: Tasks
  readonly #options: TestOptions
  readonly #onEnd: (entry: Omit<TimelineEntry, 'atMs'>) => void
  readonly #watched = new Map<string, AnyTask>()
  readonly #starts = new Map<string, number>()

  constructor(options: TestOptions, onEnd: (entry: Omit<TimelineEntry, 'atMs'>) => void) {
    const { tasks, override = {}, failOn = {} } = options
    for (const name of [...Object.keys(override), ...Object.keys(failOn)]) {
      if (tasks.find(name) !== undefined) continue
      throw new TaskError(
        'TASKS_UNKNOWN_TASK',
        `no task named "${name}" is bound in namespace "${tasks.namespace}"; known: ${tasks.names().join(', ')}`,
      )
    }
    this.namespace = tasks.namespace
    this.#tasks = tasks
    this.#options = options
    this.#onEnd = onEnd
  }

  names(): readonly string[] {
    return this.#tasks.names()
  }

  queues(): readonly string[] {
    return this.#tasks.queues()
  }

  find(name: string): AnyTask | undefined {
    const known = this.#watched.get(name)
    if (known !== undefined) return known
    const task = this.#tasks.find(name)
    if (task === undefined) return undefined
    const fn = (this.#options.override?.[task.taskName] ?? task.fn) as AnyTask['fn']
    const { taskName, options, retryData } = task
    const watched: AnyTask = { taskName, options, retryData, fn: (...args) => this.#run(taskName, fn, args) }
    this.#watched.set(name, watched)
    return watched
  }

  async #run(task: string, fn: AnyTask['fn'], args: readonly unknown[]): Promise<unknown> {
    const { taskId, rootId, attempt } = taskContext()
    const start = (this.#starts.get(task) ?? 0) + 1
    this.#starts.set(task, start)
    const entry = { task, path: taskId.startsWith(`${rootId}/`) ? taskId.slice(rootId.length) : taskId, attempt }
    this.busy++
    try {
      if (this.#options.failOn?.[task]?.includes(start)) throw new Error(`start ${start} of "${task}" was made to fail`)
      const result = await fn(...args)
      this.#onEnd({ ...entry, outcome: 'ok' })
      return result
    } catch (error) {
      this.#onEnd({ ...entry, outcome: 'failed', error: error instanceof Error ? error.message : String(error) })
      throw error
    } finally {
      this.busy--
    }
  }
}
