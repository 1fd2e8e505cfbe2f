// Makes the sends of commits after the journal has them. They are committed: each is tried until it is stored, by this owner, or by the next one, which is told
// by the journal how far this one has come.
import type { Send } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { sleep } from '@tasks/core/adapter'
import type { Outbox, Parcel } from './outbox'
import { SHARED_BYTES } from './outbox'

/** Sends that are not made yet, and bytes of them; a commit waits until there are fewer. */
const MOST = 20_000
const MOST_BYTES = 32 * 1024 * 1024
/** Messages on their way at a time: enough to fill any connection, few enough for a server that refuses all of them. */
const WINDOW = 1_000
/** What has an order, events, is waited for by nobody who waits for a result: it leaves a little later, and shares a message with what comes meanwhile. */
const PACE_MS = 5
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 1_000

interface InLine {
  readonly unmade: Unmade
  readonly parcel: Parcel
}

interface Unmade {
  readonly seq: number
  /** The sequence of the journal's message that has them. */
  readonly at: number
  parcels: number
  readonly sends: number
  readonly bytes: number
}

export class Relay {
  readonly #outbox: Outbox
  readonly #clock: Clock
  /** In the order of the commits, from the first that is not done. */
  readonly #unmade: Unmade[] = []
  readonly #waiting = new Set<() => void>()
  /** Of what has an order, by subject: what waits while others of it are made. */
  readonly #lines = new Map<string, InLine[]>()
  #sends = 0
  #bytes = 0
  #underWay = 0
  /** For a place among those that are. */
  readonly #next: (() => void)[] = []
  #last: number
  #stopped = false

  /** @param relayed the sends of commits up to this one were made */
  constructor(outbox: Outbox, clock: Clock, relayed: number) {
    this.#outbox = outbox
    this.#clock = clock
    this.#last = relayed
  }

  /** The sends of commits up to this one have been made. */
  get relayed(): number {
    const [first] = this.#unmade
    return first === undefined ? this.#last : first.seq - 1
  }

  /** The journal's oldest message whose sends have not been made. */
  get floor(): number | undefined {
    return this.#unmade[0]?.at
  }

  /** Takes on the sends of a commit. */
  add(seq: number, at: number, sends: readonly Send[]): void {
    this.#last = seq
    if (sends.length === 0) return
    const parcels = this.#outbox.pack(sends)
    const bytes = parcels.reduce((sum, { data }) => sum + data.length, 0)
    const unmade: Unmade = { seq, at, parcels: parcels.length, sends: sends.length, bytes }
    if (parcels.length === 0) return
    this.#unmade.push(unmade)
    this.#sends += sends.length
    this.#bytes += bytes
    for (const parcel of parcels) {
      if (parcel.isOrdered) this.#makeInOrder(unmade, parcel)
      else void this.#make(parcel, unmade)
    }
  }

  /** Commits up to this one are known: those that were not added had nothing to send. */
  reached(seq: number): void {
    this.#last = seq
  }

  /** Resolves when few enough are left. */
  async room(): Promise<void> {
    while ((this.#sends > MOST || this.#bytes > MOST_BYTES) && !this.#stopped) await this.#change()
  }

  /** Resolves when all have been made, or after a while. */
  async done(ms: number): Promise<void> {
    const until = this.#clock.monotonic() + ms
    while (this.#sends > 0 && !this.#stopped) {
      const left = until - this.#clock.monotonic()
      if (left <= 0) return
      await this.#change(left)
    }
  }

  /** Somebody else makes the rest. */
  stop(): void {
    this.#stopped = true
    for (const begin of this.#next.splice(0)) begin()
    this.#wakeAll()
  }

  /** Behind what goes to the same subject. */
  #makeInOrder(unmade: Unmade, parcel: Parcel): void {
    const line = this.#lines.get(parcel.subject)
    if (line !== undefined) return void line.push({ unmade, parcel })
    const begun = [{ unmade, parcel }]
    this.#lines.set(parcel.subject, begun)
    void this.#makeAll(parcel.subject, begun)
  }

  async #makeAll(subject: string, line: InLine[]): Promise<void> {
    for (;;) {
      await sleep(this.#clock, PACE_MS)
      if (line.length === 0 || this.#stopped) break
      let bytes = 0
      let count = 0
      while (count < line.length && (count === 0 || bytes + line[count]!.parcel.data.length <= SHARED_BYTES))
        bytes += line[count++]!.parcel.data.length
      const together = line.splice(0, count)
      const [{ parcel }] = together as [InLine]
      const data = count === 1 ? parcel.data : Buffer.concat(together.map((each) => each.parcel.data))
      await this.#make({ ...parcel, data }, ...together.map((each) => each.unmade))
    }
    this.#lines.delete(subject)
  }

  /** @param unmade what it is of */
  async #make(parcel: Parcel, ...unmade: readonly Unmade[]): Promise<void> {
    if (this.#underWay === WINDOW) await new Promise<void>((resolve) => this.#next.push(resolve))
    else this.#underWay++
    for (let delay = FIRST_RETRY_MS; !this.#stopped; delay = Math.min(delay * 2, LAST_RETRY_MS)) {
      try {
        await this.#outbox.post(parcel)
        break
      } catch {
        await sleep(this.#clock, delay)
      }
    }
    const begin = this.#next.shift()
    if (begin === undefined) this.#underWay--
    else begin()
    if (this.#stopped) return
    for (const each of unmade) {
      if (--each.parcels > 0) continue
      this.#sends -= each.sends
      this.#bytes -= each.bytes
    }
    while (this.#unmade[0]?.parcels === 0) this.#unmade.shift()
    this.#wakeAll()
  }

  #change(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel()
        this.#waiting.delete(wake)
        resolve()
      }
      const cancel = ms === undefined ? () => {} : this.#clock.after(ms, wake)
      this.#waiting.add(wake)
    })
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake()
  }
}
