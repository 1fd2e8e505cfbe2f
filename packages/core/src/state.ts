// A pipeline's state on the wire: encoded values by key, which owners merge without opening them. What nobody has set takes no bytes anywhere.
//
// St1. A task's writes count only if the attempt that made them succeeded, those of a chain of a group only if the chain and the group did.
// St2. Chains of a group begin with the state that was there when the group began, and do not see each other's writes. When the group ends, what
//      they have written is merged; two chains that wrote different values under one key fail the group: nothing is lost silently.
// St3. A pipeline that a task returns has a state of its own, dropped at its end, unless it is `inline`: then it shares its caller's.
import { dataBytes, type Definition } from './definition'
import { TaskError } from './errors'
import { asBuffer, decodeRecord, encodeRecord } from './record'
import type { Bytes } from './transport'

/** Values by key, encoded; undefined if there are none. */
export type State = Bytes | undefined

export function encodeState(values: ReadonlyMap<string, Bytes | null>): State {
  if (values.size === 0) return undefined
  return encodeRecord(
    Array.from(values, ([key, bytes]) => [key, bytes?.length ?? -1]),
    [...values.values()].filter((bytes) => bytes !== null),
  )
}

const MOST_KEY = 256

/** @throws TaskError TASKS_ARGUMENTS */
export function checkStateKey(call: string, key: unknown): void {
  if (typeof key === 'string' && key !== '' && key !== '__proto__' && key.length <= MOST_KEY) return
  throw new TaskError(
    'TASKS_ARGUMENTS',
    `${call}: the key must be a string of 1 to ${MOST_KEY} characters, not ${String(key)}`,
  )
}

/** The state that a pipeline begins with. */
export function initialState({ state }: Definition): State {
  return state === undefined
    ? undefined
    : encodeState(new Map(Object.entries(state).map(([key, data]) => [key, dataBytes(data)])))
}

/**
 * The encoded values by key; null for what was taken away. Shares the memory of `state`.
 * @throws TaskError TASKS_UNDECODABLE
 */
export function stateValues(state: State): Map<string, Bytes | null> {
  const values = new Map<string, Bytes | null>()
  if (state === undefined) return values
  const { header, payload } = decodeRecord(state)
  // Each key and its length; of what was taken away it is -1: that hides what was there before.
  for (const entry of header) {
    const [key, length] = Array.isArray(entry) ? (entry as readonly unknown[]) : []
    if (typeof key !== 'string' || typeof length !== 'number')
      throw new TaskError('TASKS_UNDECODABLE', `a state of ${state.length} bytes has a malformed header`)
    values.set(key, length < 0 ? null : payload.take(length))
  }
  return values
}

/** `changes` over `base`. */
export function mergeState(base: State, changes: State): State {
  if (base === undefined || changes === undefined) return changes ?? base
  return encodeState(new Map([...stateValues(base), ...stateValues(changes)]))
}

/** Merges what the chains of a group have written. */
export class StateMerge {
  readonly #values = new Map<string, Bytes | null>()
  #conflict: string | undefined

  add(changes: State): void {
    for (const [key, bytes] of stateValues(changes)) {
      const other = this.#values.get(key)
      if (other === undefined) this.#values.set(key, bytes)
      else if (other === null || bytes === null ? other !== bytes : !asBuffer(other).equals(bytes))
        this.#conflict ??= key
    }
  }

  /** @throws TaskError TASKS_STATE_CONFLICT naming the key, TASKS_VALUE_TOO_LARGE */
  result(mostBytes: number): State {
    if (this.#conflict !== undefined) {
      throw new TaskError(
        'TASKS_STATE_CONFLICT',
        `chains of a group have set the state's key "${this.#conflict}" to different values: let each chain set keys of its own, or return the values`,
      )
    }
    const state = encodeState(this.#values)
    if (state === undefined || state.length <= mostBytes) return state
    throw new TaskError(
      'TASKS_VALUE_TOO_LARGE',
      `chains of a group have set ${state.length} bytes of the pipeline's state; at most ${mostBytes} are allowed: pass large values as results`,
    )
  }
}
