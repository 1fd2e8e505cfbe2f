// Programs as pipelines of the library, and their tasks as functions.
import {
  createTasks,
  fanOut,
  inParallel,
  NonRetryableError,
  RetryAfterError,
  sleep as pipelineSleep,
  spread,
  taskContext,
  type GroupOptions,
  type Pipeline,
  type Tasks,
  type UseOptions,
} from '@tasks/core'
import { sleep } from '@tasks/core/adapter'
import { actOf, plainOf, type EachUnit, type GroupUnit, type Program, type TaskUnit, type Unit } from '@tasks/oracle'
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

/** Programs are made at random: there are no types to check. */
interface AnyPipeline {
  continueWith(next: AnyPipeline): AnyPipeline
  exceptionally(task: AnyTask, ...args: unknown[]): AnyPipeline
  finallyDo(task: AnyTask, ...args: unknown[]): AnyPipeline
  set(options: UseOptions): AnyPipeline
}
interface AnyTask {
  send(...args: unknown[]): AnyPipeline
  after(...args: unknown[]): AnyPipeline
}

const untyped = (pipeline: unknown): AnyPipeline => pipeline as AnyPipeline

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

  /** To be submitted or returned. */
  pipeline(program: Program): Pipeline<unknown, void> {
    return this.#pipeline(program) as never
  }

  #pipeline(program: Program): AnyPipeline {
    let made: AnyPipeline | undefined
    for (const unit of program) made = this.#after(made, unit)
    return made!
  }

  #after(before: AnyPipeline | undefined, unit: Unit): AnyPipeline {
    if (unit.kind === 'task' && unit.role === 'finally') return before!.finallyDo(this.#taskOf(unit), unit)
    if (unit.kind === 'task' && unit.role === 'handler')
      return before!.exceptionally(this.#taskOf(unit), unit).set(useOptionsOf(unit))
    const entry = this.#entry(unit)
    return before === undefined ? entry : before.continueWith(entry)
  }

  #entry(unit: Unit): AnyPipeline {
    switch (unit.kind) {
      case 'task': {
        const task = this.#taskOf(unit)
        return (unit.open ? task.after(unit) : task.send(unit)).set(useOptionsOf(unit))
      }
      case 'group':
        return untyped(
          inParallel(
            unit.chains.map((chain) => this.#pipeline(chain) as never),
            groupOptionsOf(unit),
          ),
        )
      case 'each':
        return untyped(fanOut(this.#pipeline(unit.chain) as never, groupOptionsOf(unit)))
      case 'sleep':
        return untyped(pipelineSleep(unit.ms))
    }
  }

  #taskOf({ policy, retries }: TaskUnit): AnyTask {
    return this.#byName.get(policy === 'bound' ? nameOf(retries) : 'act')!
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

function useOptionsOf({ policy, retries, queue, priority, how, fails }: TaskUnit): UseOptions {
  return {
    ...(policy === 'used' && retries !== undefined ? { retry: policyOf(retries) } : {}),
    ...(queue === undefined ? {} : { queue }),
    ...(priority === undefined ? {} : { priority }),
    ...(how === 'hangs' && fails > 0 ? { timeoutMs: TIMEOUT_MS } : {}),
  }
}

function groupOptionsOf({ returnExceptions, maxParallelism }: GroupUnit | EachUnit): GroupOptions {
  return { returnExceptions, ...(maxParallelism === undefined ? {} : { maxParallelism }) }
}
