// A lone task as it leaves the client: one message to its queue, its large arguments stored apart before.
import type { Clock } from '../clock'
import type { Codec } from '../codec'
import type { LargeValues } from '../large-values'
import type { LoneEntry } from '../lone-task'
import { DEFAULT_QUEUE } from '../task-options'
import type { Send } from '../transport'
import { Kind, NONE, type Value } from '../value'
import { encodeTask, type TaskMessageOptions } from '../wire/task-message'
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
    const wire: TaskMessageOptions = {
      ...(step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs }),
      ...(step.retry === undefined ? {} : { retry: step.retry }),
      ...(priority === undefined ? {} : { priority }),
      ...(meta === undefined ? {} : { meta }),
      ...(replyTo === undefined ? {} : { replyTo }),
    }
    const build = (stored: Value): Send => {
      const sentAt = this.#clock.now()
      const header = { id, run: '', path: '', attempt: 1, task, resends: 0, sentAt, options: wire }
      return {
        target: priority === undefined ? { to: 'task', queue } : { to: 'task', queue, priority },
        id,
        body: encodeTask({ ...header, input: NONE, args: stored }),
      }
    }
    if (args.length === 0) return build(NONE)
    const encoded: Value = { kind: Kind.spread, bytes: this.#codec.encode(args) }
    const stored = this.#values.storeAlone(encoded, `the arguments of the task "${task}"`)
    return stored instanceof Promise ? stored.then(build) : build(stored)
  }
}
