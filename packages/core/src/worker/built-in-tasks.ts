// Tasks that every worker knows, because the engine needs code that opens values: it opens none itself. Their names cannot be bound.
import type { Codec } from '../codec'
import { decodeArguments } from '../decoding'
import {
  isEach,
  isEvent,
  isGroup,
  isSleep,
  isTask,
  type Chain,
  type Entry,
  type EachEntry,
  type Step,
} from '../definition'
import { argsValue, EACH_TASK, type EachTemplate } from '../engine/dispatch'
import { TaskError } from '../errors'
import { isTaskUse, Plan, type StepOptions, type TaskUse, type Use } from '../plan'
import type { AnyTask } from '../tasks'
import type { Value } from '../value'
import type { TaskSource } from './task-source'

const eachTask: AnyTask = {
  taskName: EACH_TASK,
  fn: () => {
    throw new TaskError('TASKS_NOT_IMPLEMENTED', `${EACH_TASK} is run by the worker itself`)
  },
  options: {},
  retryData: undefined,
}

/** The tasks of a worker, and those that every worker has. */
export function withBuiltIns(tasks: TaskSource): TaskSource {
  return {
    namespace: tasks.namespace,
    find: (name) => tasks.find(name) ?? (name === EACH_TASK ? eachTask : undefined),
    ...(tasks.events === undefined ? {} : { events: tasks.events }),
    names: () => tasks.names(),
    queues: () => tasks.queues(),
  }
}

/**
 * The group that a fan-out over a result stands for: one chain for each element.
 * @param template what the entry says, an `EachTemplate` as JSON
 * @param fetch gets a value that is stored apart
 * @throws TaskError TASKS_ARGUMENTS if the upstream result is no array
 */
export async function groupForEach(
  upstream: Value,
  template: string,
  codec: Codec,
  fetch: (value: Value) => Value | Promise<Value>,
): Promise<Plan> {
  const { steps, entry } = JSON.parse(template) as EachTemplate
  const elements = arrayOf(decodeArguments(codec, await fetch(upstream)))
  const uses = await new Template(steps, codec, fetch).uses(entry.each)
  const chains = elements.map((element) => chainFor(uses, element))
  return new Plan(undefined, { chains, ...parallelOf(entry) })
}

function arrayOf(args: readonly unknown[]): readonly unknown[] {
  const [array] = args
  if (args.length === 1 && Array.isArray(array)) return array as readonly unknown[]
  const what = args.length === 0 ? 'nothing' : args.length > 1 ? `${args.length} values` : typeof array
  throw new TaskError('TASKS_ARGUMENTS', `a fan-out needs an array from upstream, and got ${what}`)
}

/** The template, given an element: as an argument of its first entry, or as what comes before that. One that is `undefined` passes nothing on. */
function chainFor(template: readonly Use[], element: unknown): Plan {
  if (element === undefined) return chainOf(template)
  const [first, ...rest] = template
  if (!isTaskUse(first!)) return chainOf([{ value: element }, ...template])
  return chainOf([first.open ? { ...first, open: false, args: [element, ...first.args] } : first, ...rest])
}

const chainOf = (uses: readonly Use[]): Plan =>
  uses.reduce<Plan | undefined>((before, use) => new Plan(before, use), undefined)!

/** Reads entries of a definition back into what they were made of. */
class Template {
  readonly #steps: readonly Step[]
  readonly #codec: Codec
  readonly #fetch: (value: Value) => Value | Promise<Value>

  constructor(steps: readonly Step[], codec: Codec, fetch: (value: Value) => Value | Promise<Value>) {
    this.#steps = steps
    this.#codec = codec
    this.#fetch = fetch
  }

  async uses(chain: Chain): Promise<Use[]> {
    const uses: Use[] = []
    for (const entry of chain) uses.push(await this.#use(entry))
    return uses
  }

  async #use(entry: Entry): Promise<Use> {
    if (isTask(entry)) {
      const step = this.#steps[entry[0]]!
      const args = decodeArguments(this.#codec, await this.#fetch(argsValue(entry[1])))
      const use: TaskUse = {
        task: { name: step.task, step: optionsOf(step) },
        open: step.open === 1,
        args,
        overrides: undefined,
      }
      return step.catch === 1 ? { ...use, catches: true } : use
    }
    if (isSleep(entry)) {
      const { pauseAfter, ...sleep } = entry
      return pauseAfter === 1 ? { ...sleep, pauseAfter: true } : sleep
    }
    if (isEvent(entry)) {
      const { pipeline, pauseAfter, ...event } = entry
      return {
        ...event,
        ...(pipeline === 1 && { pipeline: true }),
        ...(pauseAfter === 1 && { pauseAfter: true }),
      }
    }
    const pause = entry.pauseAfter === 1 ? { pauseAfter: true as const } : {}
    if (isEach(entry)) return { each: chainOf(await this.uses(entry.each)), ...parallelOf(entry), ...pause }
    if (!isGroup(entry) || entry.chains === undefined)
      throw new TaskError(
        'TASKS_DEFINITION_TOO_LARGE',
        'a group inside a fan-out is too large to be repeated for each element: let a task return it',
      )
    const chains: Plan[] = []
    for (const chain of entry.chains) chains.push(chainOf(await this.uses(chain)))
    return { chains, ...parallelOf(entry), ...pause }
  }
}

function optionsOf(step: Step): StepOptions {
  const { task: _, open: __, catch: ___, pauseAfter, checkpoint, ...options } = step
  return {
    ...options,
    ...(pauseAfter === 1 ? { pauseAfter: true } : {}),
    ...(checkpoint === 0 ? { checkpoint: false } : {}),
  }
}

/** Of the group of a fan-out, it is the entry that pauses. */
function parallelOf({ returnExceptions, maxParallelism, unordered }: Omit<EachEntry, 'each'>) {
  return {
    returnExceptions: returnExceptions === 1,
    maxParallelism,
    ...(unordered === 1 ? { unordered: true as const } : {}),
  }
}
