// What a named subscription is given, all its members together, against what is stored.
//
// N1  every event that is stored is handled, by one of them or several       N2  none is handled that nobody has said
// N3  events of a pipeline are handled for the first time in their order     N4  nothing is told to have been missed that the log can keep
import type { CloudEvent } from '@tasks/core'

/** The log keeps as many, whatever they tell: some megabytes. */
const MANY = 4_000

export class SharedEvents {
  readonly #broken: (text: string) => void
  readonly #handled = new Set<string>()
  readonly #unhandled = new Set<string>()
  readonly #latest = new Map<string, number>()
  #stored = 0
  #hasMissed = false

  constructor(broken: (text: string) => void) {
    this.#broken = broken
  }

  /** It is on the log. */
  stored(id: string): void {
    this.#stored++
    if (!this.#handled.has(id)) this.#unhandled.add(id)
  }

  /** A member is done with it. */
  handle({ id, sequence }: Pick<CloudEvent, 'id' | 'sequence'>): void {
    this.#handled.add(id)
    this.#unhandled.delete(id)
    if (sequence === undefined) return
    const name = id.slice(0, id.lastIndexOf('.'))
    const latest = this.#latest.get(name) ?? 0
    if (Number(sequence) > latest + 1 && !this.#hasMissed)
      this.#broken(`N3: event ${id} is handled after number ${latest}`)
    this.#latest.set(name, Math.max(latest, Number(sequence)))
  }

  miss(partition: number): void {
    this.#hasMissed = true
    if (this.#stored < MANY)
      this.#broken(`N4: members of a subscription have missed something of partition ${partition}`)
  }

  get isHandled(): boolean {
    return this.#unhandled.size === 0 || this.#hasMissed
  }

  /** How many are not, for whoever is told. */
  get left(): number {
    return this.#unhandled.size
  }

  invented(said: ReadonlySet<string>): readonly string[] {
    return [...this.#handled].filter((id) => !said.has(id))
  }
}
