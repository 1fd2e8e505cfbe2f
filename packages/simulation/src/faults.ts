// What goes wrong with calls of the transport, and when: each time that it could, a fault asks for its chance. Whether it strikes depends on the seed,
// the kind, and how often it has asked, and on nothing else; so a failure can be looked for again with fewer of them.
import type { MemoryFaults } from '@tasks/core/memory'
import { hashOf } from './random'

export const FAULTS = [
  'commit lost',
  'commit unanswered',
  'commit taken',
  'send refused',
  'send lost',
  'send unanswered',
  'delivery twice',
  'delivery late',
  'settle lost',
  'settle halved',
  'settle unanswered',
  'receive lost',
  'receive unanswered',
  'receive late',
  'poll lost',
  'poll late',
  'read lost',
  'read late',
  'heartbeat failed',
  'heartbeat expired',
  'claim failed',
  'claim unanswered',
  'reply lost',
  'reply twice',
  'reply late',
  'signal lost',
  'signal twice',
  'signal late',
  'other lost',
  'other unanswered',
] as const

export type FaultKind = (typeof FAULTS)[number]

const LATE_MS = [5, 50, 1_000, 20_000, 90_000]

export class Faults {
  /** Those that have struck, by name. */
  readonly struck: string[] = []
  readonly #seed: number
  readonly #chances: ReadonlyMap<FaultKind, number>
  readonly #only: ReadonlySet<string> | undefined
  readonly #asked = new Map<FaultKind, number>()
  #healed = false
  /** The longest that anything has been made late by. */
  lateMs = 0

  /** @param only if given, no other may strike */
  constructor(seed: number, chances: Partial<Record<FaultKind, number>>, only?: ReadonlySet<string>) {
    this.#seed = seed
    this.#chances = new Map(Object.entries(chances) as [FaultKind, number][])
    this.#only = only
  }

  /** From now on all goes well. */
  heal(): void {
    this.#healed = true
  }

  strikes(kind: FaultKind): boolean {
    const chance = this.#chances.get(kind)
    if (chance === undefined || this.#healed) return false
    const count = this.#asked.get(kind) ?? 0
    this.#asked.set(kind, count + 1)
    const name = `${kind} ${count}`
    if (hashOf(`${this.#seed}!${name}`) / 2 ** 32 >= chance) return false
    if (this.#only !== undefined && !this.#only.has(name)) return false
    this.struck.push(name)
    return true
  }

  #lateMs(kind: FaultKind, most: number): number {
    const ms = Math.min(most, LATE_MS[hashOf(`${this.#seed}?${kind}${this.#asked.get(kind)}`) % LATE_MS.length]!)
    this.lateMs = Math.max(this.lateMs, ms)
    return ms
  }

  /** The first of these that strikes, as the memory transport calls it. */
  #one<const T extends string>(call: string, ways: readonly T[]): T | undefined {
    return ways.find((way) => this.strikes(`${call} ${way}` as FaultKind))
  }

  #oneOrLate<const T extends string>(
    call: string,
    ways: readonly T[],
    most = Infinity,
  ): T | { lateMs: number } | undefined {
    const late = `${call} late` as FaultKind
    return this.#one(call, ways) ?? (this.strikes(late) ? { lateMs: this.#lateMs(late, most) } : undefined)
  }

  /**
   * The hooks of one process's connection.
   * @param isUp one that is paused sends no heartbeats
   * @param latestMs what it sends is delivered by then
   */
  hooks(isUp: () => boolean, latestMs: number, told: (fault: string) => void): MemoryFaults {
    const tell = <T>(call: string, fault: T): T => {
      if (fault !== undefined) told(`${call} ${typeof fault === 'string' ? fault : `late ${JSON.stringify(fault)}`}`)
      return fault
    }
    return {
      commit: ({ partition, seq }) =>
        tell(`commit ${partition}:${seq}`, this.#one('commit', ['lost', 'unanswered', 'taken'])),
      send: ({ id }) => tell(`send ${id}`, this.#one('send', ['refused', 'lost', 'unanswered'])),
      deliver: ({ id }) => tell(`delivery ${id}`, this.#oneOrLate('delivery', ['twice'], latestMs)),
      settle: () => tell('settle', this.#one('settle', ['lost', 'halved', 'unanswered'])),
      receive: () => tell('receive', this.#oneOrLate('receive', ['lost', 'unanswered'])),
      poll: ({ partition }) => tell(`poll ${partition}`, this.#oneOrLate('poll', ['lost'])),
      read: ({ partition }) => tell(`read ${partition}`, this.#oneOrLate('read', ['lost'])),
      heartbeat: () => (isUp() ? tell('heartbeat', this.#one('heartbeat', ['failed', 'expired'])) : 'failed'),
      claim: ({ partition }) =>
        isUp() ? tell(`claim ${partition}`, this.#one('claim', ['failed', 'unanswered'])) : 'failed',
      reply: ({ id }) => tell(`reply ${id}`, this.#oneOrLate('reply', ['lost', 'twice'])),
      signal: () => tell('signal', this.#oneOrLate('signal', ['lost', 'twice'])),
    }
  }
}
