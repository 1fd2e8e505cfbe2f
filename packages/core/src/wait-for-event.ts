// The entry that waits: for an event that somebody sends, or for one of a listener's source.
import type { Scalar } from './definition'
import { isScalar, MOST_FIELDS, MOST_TEXT } from './events/event-fields'
import { checkId } from './ids'
import { badOption, checkOptions } from './option-checks'
import { isPlainObject, PipelineValue, type Pipeline } from './pipeline'
import { MAX_TIME } from './plan'

/** Which event an entry waits for. */
export interface AwaitedEvent {
  readonly key: string
  /** One that was sent to the pipeline that waits (`sendEvent({ key, pipelineId })`). Default false: one of the namespace. */
  readonly pipeline?: boolean
  /** What the event's value must have at these paths: `{ 'order.id': 17 }`. Texts (of 256 characters), numbers, booleans and null are compared. */
  readonly match?: Readonly<Record<string, Scalar>>
}

export interface WaitForEventOptions {
  /** From when the entry starts; the entry fails with TASKS_TIMEOUT then, which `exceptionally` can take. Default: no limit. */
  readonly timeoutMs?: number
}

/** A listener that was bound to a name: `waitForEvent(orders, 'eu')`. */
export interface BoundListener<in Args extends readonly unknown[], out Event> {
  readonly listenerName: string
  /** What `waitForEvent` gives for it. */
  wait(...args: Args): Pipeline<Event>
}

/**
 * Waits for an event, durably and without a worker; its value is the result. An event that came before is taken, if it is kept still; one that comes wakes all
 * who wait for its key by then: `order.send().continueWith(waitForEvent<Payment>({ key: 'paid', pipeline: true })).continueWith(ship)`.
 * @throws TaskError TASKS_ARGUMENTS, TASKS_OPTIONS, TASKS_ID_INVALID
 */
export function waitForEvent<Value = unknown>(event: AwaitedEvent, options?: WaitForEventOptions): Pipeline<Value>
/**
 * Waits for an event of a listener's source (`tasks.bindListener`); the event is the result. For a limit of this wait's own:
 * `waitForEvent(orders.set({ timeoutMs: 60_000 }), 'eu')`.
 */
export function waitForEvent<Args extends readonly unknown[], Event>(
  listener: BoundListener<Args, Event>,
  ...args: Args
): Pipeline<Event>
export function waitForEvent(first: unknown, ...rest: readonly unknown[]): Pipeline<never> {
  if (isListener(first)) return first.wait(...rest) as Pipeline<never>
  const [event, options = {}] = [first as AwaitedEvent, rest[0] as WaitForEventOptions | undefined]
  checkOptions('waitForEvent', event, ['key', 'pipeline', 'match'])
  checkOptions('waitForEvent', options, ['timeoutMs'])
  const { key, pipeline = false, match } = event
  const { timeoutMs } = options
  checkId('event key', key)
  if (typeof pipeline !== 'boolean') throw badOption('waitForEvent: pipeline', 'a boolean', pipeline)
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0 && timeoutMs <= MAX_TIME))
    throw badOption('waitForEvent: timeoutMs', 'milliseconds of at least 0', timeoutMs)
  return new PipelineValue(undefined, {
    event: key,
    ...(pipeline && { pipeline }),
    ...(match !== undefined && { match: matchOf(match) }),
    ...(timeoutMs !== undefined && { timeoutMs: Math.ceil(timeoutMs) }),
  }) as never
}

/** What no event can have is refused here: it would be waited for for ever. */
function matchOf(match: unknown): Readonly<Record<string, Scalar>> {
  if (!isPlainObject(match)) throw badOption('waitForEvent: match', 'a plain object', match)
  const paths = Object.keys(match)
  if (paths.length > MOST_FIELDS)
    throw badOption('waitForEvent: match', `an object of at most ${MOST_FIELDS} paths`, paths.length)
  for (const path of paths) {
    if (!isScalar(match[path]))
      throw badOption(
        `waitForEvent: match["${path}"]`,
        `a text of at most ${MOST_TEXT} characters, a finite number, a boolean or null`,
        match[path],
      )
  }
  return { ...match } as Readonly<Record<string, Scalar>>
}

export function isListener(x: unknown): x is BoundListener<readonly unknown[], unknown> {
  return (
    typeof x === 'object' && x !== null && 'listenerName' in x && typeof (x as { wait?: unknown }).wait === 'function'
  )
}
