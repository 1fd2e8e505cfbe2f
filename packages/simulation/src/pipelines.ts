// Programs as pipelines of the library, and their tasks as functions.
import {
  createTasks,
  fanOut,
  inParallel,
  NonRetryableError,
  RetryAfterError,
  sleep as pipelineSleep,
  sleepUntil,
  spread,
  taskContext,
  waitForEvent,
  type GroupOptions,
  type Pipeline,
  type Tasks,
  type TimedListener,
  type UseOptions,
} from '@tasks/core'
import { sleep } from '@tasks/core/adapter'
import {
  actOf,
  eventOf,
  isEnd,
  partsOf,
  plainOf,
  taskNameOf,
  type ChainUnit,
  type EachUnit,
  type GroupUnit,
  type ListenUnit,
  type Program,
  type SleepUnit,
  type TaskUnit,
  type WaitUnit,
} from '@tasks/oracle'
import type { History } from './history'
import { START, type Process } from './process'
import type { Sources } from './sources'

export const NAMESPACE = 'sim'
export const QUEUES = ['default', 'slow'] as const
/** The listener's name: each unit of a program asks a source of its own. It stands here so that tests of transports, which load this, need nothing of core's sources. */
export const LISTENER = 'source'

/** Waits before the first retry, without jitter, so that a retry that comes too early shows. */
export const RETRY_MS = 700
export const RETRY_AFTER_MS = 300
/** Longer than any task takes that ends. */
const TIMEOUT_MS = 40_000

/** A task without a policy, and one bound with each number of retries; the same of tasks whose results need not be stored. */
const RETRIES = [undefined, 0, 1, 2, 3] as const
const TASKS = [false, true].flatMap((pure) =>
  RETRIES.map((retries) => ({ name: taskNameOf({ policy: 'bound', retries, pure }), retries, pure })),
)
export const ALL_TASKS = TASKS.length

/** Every worker knows it, and nobody counts how often it runs: it gives what an event would have given that did not come in time. */
export const INSTEAD = 'instead'

/** Runs of a pipeline are named after the first one. */
export function runNumber(run: string): number {
  const plus = run.indexOf('+')
  return plus < 0 ? 1 : Number(run.slice(plus + 1)) + 1
}

/** Programs are made at random: there are no types to check. */
interface AnyPipeline {
  continueWith(next: AnyPipeline): AnyPipeline
  continueIf(condition: boolean, next: AnyPipeline): AnyPipeline
  exceptionally(task: AnyTask, ...args: unknown[]): AnyPipeline
  finallyDo(task: AnyTask, ...args: unknown[]): AnyPipeline
  set(options: UseOptions): AnyPipeline
  pauseAfter(): AnyPipeline
  inline(): AnyPipeline
  withInitial(initial: { readonly args?: readonly unknown[]; readonly state?: object }): AnyPipeline
}
interface AnyTask {
  send(...args: unknown[]): AnyPipeline
  after(...args: unknown[]): AnyPipeline
}

const untyped = (pipeline: unknown): AnyPipeline => pipeline as AnyPipeline

/** Where a worker's tasks run, and what they are noted in. */
type Place = Pick<Process, 'name' | 'clock' | 'dead'>
type Notes = Pick<History, 'add'>

/** Where a program is made into a pipeline: a client, which knows of tasks only by name, or a worker, whose tasks return some. */
export class Author {
  readonly tasks: Tasks
  readonly #byName = new Map<string, AnyTask>()
  readonly #listener: TimedListener<[unit: ListenUnit], unknown>

  private constructor(place?: { readonly process: Place; readonly sources: Sources | undefined }) {
    this.tasks = createTasks({ namespace: NAMESPACE })
    this.#listener = this.tasks.bindListener(
      LISTENER,
      {
        async pollForEvent(unit: ListenUnit, { signal }) {
          return place!.sources!.poll(place!.process, unit, signal)
        },
        eventCheckpointed: (event) => place!.sources!.acknowledge(place!.process, event),
      },
      { retry: policyOf(RETRIES.length) },
    )
  }

  static client(): Author {
    const author = new Author()
    for (const { name, pure } of TASKS) author.#declare(name, pure)
    author.#declare(INSTEAD, false)
    return author
  }

  /**
   * @param knows how many of the tasks it knows: an old version does not know all
   * @param kill what some tasks do to their process
   * @param sources what its listeners poll, if they do
   */
  static worker(process: Place, history: Notes, knows: number, kill: () => void, sources?: Sources): Author {
    const author = new Author({ process, sources })
    const instead = (_: unknown, value: unknown): unknown => (process.dead ? new Promise(() => undefined) : value)
    for (const { name, retries, pure } of TASKS) {
      if (author.#byName.size >= knows) {
        author.#declare(name, pure)
        continue
      }
      const act = (...args: unknown[]): unknown => author.#act(process, history, args, kill)
      const options = {
        ...(retries === undefined ? {} : { retry: policyOf(retries) }),
        ...(pure ? { checkpoint: false } : {}),
      }
      author.#byName.set(name, author.tasks.bind(name, act, options) as unknown as AnyTask)
    }
    author.#byName.set(INSTEAD, author.tasks.bind(INSTEAD, instead) as unknown as AnyTask)
    return author
  }

  #declare(name: string, pure: boolean): void {
    const task = this.tasks.declare(name, pure ? { checkpoint: false } : {})
    this.#byName.set(name, task as unknown as AnyTask)
  }

  /** To be submitted or returned. */
  pipeline(program: Program): Pipeline<unknown, void> {
    const { begin, end } = partsOf(program)
    let made = this.#chain(program)
    if (end !== undefined) made = made.finallyDo(this.#taskOf(end), end)
    if (begin?.inline) made = made.inline()
    if (begin !== undefined) {
      const { args, state } = begin
      made = made.withInitial({ ...(args === undefined ? {} : { args }), ...(state === undefined ? {} : { state }) })
    }
    return made as never
  }

  /** With what is left out, which is described all the same. */
  #chain(program: Program): AnyPipeline {
    let made: AnyPipeline | undefined
    for (const unit of program) if (unit.kind !== 'begin' && !isEnd(unit)) made = this.#after(made, unit)
    return made!
  }

  #after(before: AnyPipeline | undefined, unit: ChainUnit): AnyPipeline {
    if (unit.kind === 'task' && unit.role === 'handler')
      return pausing(before!.exceptionally(this.#taskOf(unit), unit).set(useOptionsOf(unit)), unit)
    const entry = pausing(this.#entry(unit), unit)
    if (before === undefined) return entry
    return unit.when === undefined ? before.continueWith(entry) : before.continueIf(unit.when, entry)
  }

  #entry(unit: ChainUnit): AnyPipeline {
    switch (unit.kind) {
      case 'task': {
        const task = this.#taskOf(unit)
        return (unit.open ? task.after(unit) : task.send(unit)).set(useOptionsOf(unit))
      }
      case 'group':
        return untyped(
          inParallel(
            unit.chains.map((chain) => this.#chain(chain) as never),
            groupOptionsOf(unit),
          ),
        )
      case 'each':
        return untyped(fanOut(this.#chain(unit.chain) as never, groupOptionsOf(unit)))
      case 'sleep':
        return untyped(sleepOf(unit))
      case 'wait':
        return this.#waitOf(unit)
      case 'listen':
        return this.#listenOf(unit)
    }
  }

  #waitOf(unit: WaitUnit): AnyPipeline {
    const { key, own = false, match, timeoutMs = unit.raceMs } = unit
    const wait = untyped(
      waitForEvent(
        { key, pipeline: own, ...(match === undefined ? {} : { match: { number: match } }) },
        timeoutMs === undefined ? {} : { timeoutMs },
      ),
    )
    return unit.raceMs === undefined ? wait : this.#orInstead(wait, eventOf(unit))
  }

  #listenOf(unit: ListenUnit): AnyPipeline {
    const { key, number, timeoutMs = unit.raceMs } = unit
    const listener = timeoutMs === undefined ? this.#listener : this.#listener.set({ timeoutMs })
    const listen = untyped(waitForEvent(listener, unit))
    return unit.raceMs === undefined ? listen : this.#orInstead(listen, eventOf({ key, match: number }))
  }

  /** In a group of its own, so that no other failure is taken for that of the wait. */
  #orInstead(wait: AnyPipeline, event: unknown): AnyPipeline {
    return untyped(inParallel([wait.exceptionally(this.#byName.get(INSTEAD)!, event) as never]))
  }

  #taskOf(unit: TaskUnit): AnyTask {
    return this.#byName.get(taskNameOf(unit))!
  }

  #act(process: Place, history: Notes, args: readonly unknown[], kill: () => void): unknown {
    // The code that was at hand when its process died goes on to its next await; a process does not.
    if (process.dead) return new Promise(() => undefined)
    const unit = args.at(-1) as TaskUnit
    const { attempt, idempotencyKey, run, state } = taskContext()
    const inputs = args.slice(0, -1).map(plainOf)
    const about = { label: unit.label, attempt, key: idempotencyKey }
    const act = actOf(unit, { inputs, attempt, run: runNumber(run), state: state.get() })
    history.add(process.name, { what: 'started', ...about, saw: act.saw })
    for (const [key, value] of act.sets) state.set(key, value ?? undefined)
    const end = (): unknown => {
      if (act.does === 'fails' && act.how === 'kills') kill()
      if (process.dead || (act.does === 'fails' && act.how === 'hangs')) return new Promise(() => undefined)
      history.add(process.name, { what: 'finished', hasFailed: act.does === 'fails', ...about })
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

function groupOptionsOf({ returnExceptions, maxParallelism, unordered }: GroupUnit | EachUnit): GroupOptions {
  return {
    returnExceptions,
    ...(maxParallelism === undefined ? {} : { maxParallelism }),
    ...(unordered ? { ordered: false } : {}),
  }
}

const pausing = (entry: AnyPipeline, { pauses }: ChainUnit): AnyPipeline => (pauses ? entry.pauseAfter() : entry)

function sleepOf({ ms, until }: SleepUnit): unknown {
  return until ? sleepUntil(START + ms) : pipelineSleep(ms)
}
