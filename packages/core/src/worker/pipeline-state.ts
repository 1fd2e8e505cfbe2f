// What a task sees of its pipeline's state: values are decoded when they are asked for, and what it sets leaves with its result.
import type { Codec } from '../codec'
import type { TaskState } from '../context'
import { TaskError } from '../errors'
import { checkStateKey, encodeState, stateValues, type State } from '../state'
import type { Bytes } from '../transport'

export class PipelineState implements TaskState {
  readonly #codec: Codec
  readonly #mostBytes: number
  readonly #values: Map<string, Bytes | null>
  readonly #changes = new Map<string, Bytes | null>()

  constructor(state: State, codec: Codec, mostBytes: number) {
    this.#codec = codec
    this.#mostBytes = mostBytes
    this.#values = stateValues(state)
  }

  get(): Readonly<Record<string, unknown>>
  get(key: string): unknown
  get(key?: string): unknown {
    if (key !== undefined) return this.#decode(this.#values.get(key))
    const set = [...this.#values].filter(([, bytes]) => bytes !== null)
    return Object.freeze(Object.fromEntries(set.map(([name, bytes]) => [name, this.#decode(bytes)])))
  }

  #decode(bytes: Bytes | null | undefined): unknown {
    return bytes === null || bytes === undefined ? undefined : this.#codec.decode(bytes)
  }

  set(key: string, value: unknown): void {
    checkStateKey('state.set', key)
    const bytes = value === undefined ? null : this.#codec.encode(value)
    const before = this.#values.get(key)
    this.#values.set(key, bytes)
    const size = this.#size()
    if (size > this.#mostBytes) {
      if (before === undefined) this.#values.delete(key)
      else this.#values.set(key, before)
      throw new TaskError(
        'TASKS_VALUE_TOO_LARGE',
        `state.set("${key}"): the pipeline's state would take ${size} bytes; at most ${this.#mostBytes} are allowed: pass large values as results`,
      )
    }
    this.#changes.set(key, bytes)
  }

  /** What was set. */
  changes(): State {
    return encodeState(this.#changes)
  }

  #size(): number {
    let size = 0
    for (const [key, bytes] of this.#values) size += key.length + (bytes?.length ?? 0) + 16
    return size
  }
}
