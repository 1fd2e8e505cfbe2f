// A lone task as it leaves the client: one message to its queue, its large arguments stored apart before.
import type { Clock } from '../clock'
import type { Codec } from '../codec'
import type { LargeValues } from '../large-values'
import type { LoneEntry } from '../lone-task'
import type { StepOptions } from '../plan'
import { DEFAULT_QUEUE } from '../task-options'
import type { Send } from '../transport'
import { checkLength, Kind, NONE, type Value } from '../value'
import { encodeLoneTask, NO_OPTIONS, type TaskMessageOptions } from '../wire/task-message'
import { checkMeta } from './options'

/** What its sender says of it beyond the task's own options. */
interface LoneOptions {
  readonly meta?: Readonly<Record<string, unknown>>
  readonly priority?: number
  readonly queue?: string
}

export class LoneSends {
  readonly #values: LargeValues
  readonly #codec: Codec
  readonly #clock: Clock

  constructor(values: LargeValues, codec: Codec, clock: Clock) {
    this.#values = values
    this.#codec = codec
    this.#clock = clock
  }

  /** Synchronous if nothing has to be stored. */
  sendOf(id: string, entry: LoneEntry, options: LoneOptions, replyTo: string | undefined): Send | Promise<Send> {
    const { task, args, step } = entry
    const queue = options.queue ?? step.queue ?? DEFAULT_QUEUE
    const priority = options.priority ?? step.priority
    const meta = checkMeta(options.meta)
    const wire = optionsOf(step, priority, meta, replyTo)
    const sentAt = this.#clock.now()
    // No object is spread here: that alone cost more than everything else about adding a task.
    const build = (stored: Value): Send => ({
      target: priority === undefined ? { to: 'task', queue } : { to: 'task', queue, priority },
      id,
      body: encodeLoneTask({ task, sentAt, options: wire, args: stored }),
    })
    if (args.length === 0) return build(NONE)
    const encoded: Value = { kind: Kind.spread, bytes: this.#codec.encode(args) }
    const what = `the arguments of the task "${task}"`
    if (step.largeArguments === false) checkLength(what, encoded.bytes.length, this.#values.limits.inlineBytes)
    const stored = this.#values.storeAlone(encoded, what)
    return stored instanceof Promise ? stored.then(build) : build(stored)
  }
}

/** Most tasks have none: those of a bulk cost no object. */
function optionsOf(
  { timeoutMs, retry }: StepOptions,
  priority: number | undefined,
  meta: LoneOptions['meta'],
  replyTo: string | undefined,
): TaskMessageOptions {
  const hasNone =
    timeoutMs === undefined &&
    retry === undefined &&
    priority === undefined &&
    meta === undefined &&
    replyTo === undefined
  if (hasNone) return NO_OPTIONS
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retry === undefined ? {} : { retry }),
    ...(priority === undefined ? {} : { priority }),
    ...(meta === undefined ? {} : { meta }),
    ...(replyTo === undefined ? {} : { replyTo }),
  }
}
