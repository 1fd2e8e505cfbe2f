// Programs as pipelines of the library, and their tasks as functions.
import {
  createTasks,
  inParallel,
  NonRetryableError,
  RetryAfterError,
  spread,
  taskContext,
  type Pipeline,
  type Tasks,
} from '@tasks/core'
import { sleep } from '@tasks/core/adapter'
import { actOf, plainOf, type Program, type TaskUnit, type Unit } from '@tasks/oracle'
import type { History } from './history'
import type { Process } from './process'

export const NAMESPACE = 'sim'
export const QUEUES = ['default', 'slow'] as const

/** Waits before the first retry, without jitter, so that a retry that comes too early shows. */
export const RETRY_MS = 700
export const RETRY_AFTER_MS = 300
/** Longer than any task takes that ends. */
const TIMEOUT_MS = 40_000

/** A task without a policy, and one bound with each number of retries. */
const RETRIES = [undefined, 0, 1, 2, 3] as const
const nameOf = (retries: number | undefined): string => (retries === undefined ? 'act' : `act${retries}`)

type AnyPipeline = Pipeline<unknown, void>
interface AnyTask {
  send(...args: unknown[]): AnyPipeline
  after(...args: unknown[]): AnyPipeline
}

/** Where a program is made into a pipeline: a client, which knows of tasks only by name, or a worker, whose tasks return some. */
export class Author {
  readonly tasks: Tasks
  readonly #byName = new Map<string, AnyTask>()

  private constructor() {
    this.tasks = createTasks({ namespace: NAMESPACE })
  }

  static client(): Author {
    const author = new Author()
    for (const retries of RETRIES) {
      const name = nameOf(retries)
      author.#byName.set(name, author.tasks.declare(name) as unknown as AnyTask)
    }
    return author
  }

  /** @param knows how many of the tasks it knows: an old version does not know all */
  static worker(process: Process, history: History, knows: number): Author {
    const author = new Author()
    for (const retries of RETRIES) {
      const name = nameOf(retries)
      const act = (...args: unknown[]): unknown => author.#act(process, history, args)
      const options = retries === undefined ? {} : { retry: policyOf(retries) }
      const task = author.#byName.size < knows ? author.tasks.bind(name, act, options) : author.tasks.declare(name)
      author.#byName.set(name, task as unknown as AnyTask)
    }
    return author
  }

  pipeline(program: Program): AnyPipeline {
    return program
      .map((unit) => this.#entry(unit))
      .reduce((before, entry) => (before.continueWith as (next: AnyPipeline) => AnyPipeline)(entry))
  }

  #entry(unit: Unit): AnyPipeline {
    if (unit.kind === 'group') {
      const { chains, returnExceptions, maxParallelism } = unit
      return inParallel(
        chains.map((chain) => this.pipeline(chain)),
        { returnExceptions, ...(maxParallelism === undefined ? {} : { maxParallelism }) },
      ) as unknown as AnyPipeline
    }
    const { retries, policy, open, queue, priority, how, fails } = unit
    const task = this.#byName.get(policy === 'bound' ? nameOf(retries) : 'act')!
    const entry = open ? task.after(unit) : task.send(unit)
    return entry.set({
      ...(policy === 'used' && retries !== undefined ? { retry: policyOf(retries) } : {}),
      ...(queue === undefined ? {} : { queue }),
      ...(priority === undefined ? {} : { priority }),
      ...(how === 'hangs' && fails > 0 ? { timeoutMs: TIMEOUT_MS } : {}),
    })
  }

  #act(process: Process, history: History, args: readonly unknown[]): unknown {
    // The code that was at hand when its process died goes on to its next await; a process does not.
    if (process.dead) return new Promise(() => undefined)
    const unit = args.at(-1) as TaskUnit
    const { attempt, idempotencyKey } = taskContext()!
    const inputs = args.slice(0, -1).map(plainOf)
    const about = { label: unit.label, attempt, key: idempotencyKey }
    history.add(process.name, { what: 'started', ...about })
    const end = (): unknown => {
      const act = actOf(unit, inputs, attempt)
      if (act.does === 'fails' && act.how === 'hangs') return new Promise(() => undefined)
      history.add(process.name, { what: 'finished', ...about })
      switch (act.does) {
        case 'returns':
          return this.pipeline(act.program)
        case 'gives':
          return act.given.kind === 'nothing'
            ? undefined
            : act.given.kind === 'one'
              ? act.given.value
              : spread(...act.given.values)
        case 'fails':
          throw act.how === 'throws for good'
            ? new NonRetryableError(act.message)
            : act.how === 'asks for time'
              ? new RetryAfterError(act.message, RETRY_AFTER_MS)
              : new Error(act.message)
      }
    }
    return unit.ms === 0 ? end() : sleep(process.clock, unit.ms).then(end)
  }
}

const policyOf = (maxRetries: number) => ({ maxRetries, delayMs: RETRY_MS, factor: 2, jitter: 'none' as const })
