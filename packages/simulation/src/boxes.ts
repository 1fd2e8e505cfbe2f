// What becomes of events at their addresses, as commits show it.
//
// E1  an event that nobody has taken is there until its time is over, and then no more
// E2  an event that comes again is the same one
// E3  an event is offered to all who wait for it when it comes, and one that is kept to somebody who comes then
import { unescapeId } from '@tasks/core/src/ids'
import { BoxKeys } from '@tasks/core/src/engine/row-keys'
import { decodeRow } from '@tasks/core/src/engine/row-codec'
import type { KeptEvent, SeenEvent, Waiter, WaitMark } from '@tasks/core/src/engine/rows'
import type { Bytes, RowKey } from '@tasks/core'
import type { InboxBody } from '@tasks/core/src/wire/inbox-message'

/** How long events are kept: longer than anything is waited for. */
export const KEPT_MS = 6 * 3_600_000

type Rows = ReadonlyMap<RowKey, Bytes | null>

class Box {
  readonly keys: BoxKeys
  /** Events that are there, by number. */
  readonly events = new Map<number, KeptEvent>()
  readonly waiters = new Map<RowKey, Waiter>()
  /** Events that are remembered, by id: their number, and since when. */
  readonly seen = new Map<RowKey, { readonly number: number; readonly at: number }>()

  constructor(address: string) {
    this.keys = new BoxKeys(address)
  }
}

export class Boxes {
  readonly #boxes = new Map<string, Box>()
  readonly #marks = new Map<RowKey, WaitMark>()
  /** `<address>@<number>` of events that a pipeline elsewhere has said to have taken. */
  readonly #taken = new Set<string>()
  readonly #broken: (text: string) => void

  constructor(broken: (text: string) => void) {
    this.#broken = broken
  }

  /** An owner has read this from its inbox. */
  polled(message: InboxBody): void {
    if (message.type === 'taken' && message.accepted) this.#taken.add(`${message.address}@${message.number}`)
  }

  commit(rows: Rows, at: number): void {
    const stopped = this.#stoppedWaiting(rows)
    const touched = new Map<Box, RowKey[]>()
    for (const key of rows.keys()) {
      if (!key.startsWith('B')) continue
      const box = this.#boxOf(key)
      const keys = touched.get(box)
      if (keys === undefined) touched.set(box, [key])
      else keys.push(key)
    }
    for (const [box, keys] of touched) this.#change(box, keys, rows, at, stopped.has(box.keys.address))
  }

  /** The addresses at which pipelines of this commit wait no longer. */
  #stoppedWaiting(rows: Rows): ReadonlySet<string> {
    const addresses = new Set<string>()
    for (const [key, bytes] of rows) {
      if (!IS_MARK.test(key)) continue
      if (bytes !== null) this.#marks.set(key, decodeRow(key, bytes) as WaitMark)
      else if (this.#marks.has(key)) {
        addresses.add(this.#marks.get(key)!.address)
        this.#marks.delete(key)
      }
    }
    return addresses
  }

  #boxOf(key: RowKey): Box {
    const address = unescapeId(key.slice(1, key.indexOf('/')))
    let box = this.#boxes.get(address)
    if (box === undefined) this.#boxes.set(address, (box = new Box(address)))
    return box
  }

  #change(box: Box, keys: readonly RowKey[], rows: Rows, at: number, isTakenHere: boolean): void {
    const { address } = box.keys
    const forgotten = new Set<number>()
    const gone: KeptEvent[] = []
    const come = new Set<number>()
    for (const key of keys) {
      const bytes = rows.get(key)!
      switch (key.charAt(key.indexOf('/') + 1)) {
        case 'i':
          this.#remember(box, key, bytes, at, forgotten)
          if (bytes !== null) come.add((decodeRow(key, bytes) as SeenEvent).number)
          break
        case 'w':
          if (bytes === null) box.waiters.delete(key)
          else box.waiters.set(key, decodeRow(key, bytes) as Waiter)
          break
        case 'k': {
          const number = box.keys.numberOf(key)
          const before = box.events.get(number)
          if (bytes !== null) box.events.set(number, decodeRow(key, bytes) as KeptEvent)
          else if (before !== undefined) gone.push(before)
          if (bytes === null) box.events.delete(number)
        }
      }
    }
    for (const { number, eventId, taken } of gone) {
      const isTaken = taken || isTakenHere || this.#taken.has(`${address}@${number}`)
      if (!isTaken && !forgotten.has(number))
        this.#broken(`E1: event ${eventId} at ${address} is gone, and nobody has it`)
    }
    for (const event of gone) this.#expectOffered(box, event)
    for (const event of box.events.values()) if (event.search === 'none') this.#expectOffered(box, event)
    // One that was taken by the commit that it came with; what it shows of itself nobody has seen.
    for (const number of come)
      if (!box.events.has(number)) this.#expectOffered(box, { number, eventId: `number ${number}`, kept: false })
  }

  #remember(box: Box, key: RowKey, bytes: Bytes | null, at: number, forgotten: Set<number>): void {
    const before = box.seen.get(key)
    if (bytes === null) {
      box.seen.delete(key)
      if (before === undefined) return
      forgotten.add(before.number)
      if (at < before.at + KEPT_MS) this.#broken(`E1: ${key} was forgotten after ${at - before.at} ms`)
      return
    }
    const { number } = decodeRow(key, bytes) as SeenEvent
    if (before !== undefined && before.number !== number) this.#broken(`E2: ${key} has come twice`)
    box.seen.set(key, { number, at: before?.at ?? at })
  }

  /** Once nobody is looked for any more. */
  #expectOffered(box: Box, event: Pick<KeptEvent, 'number' | 'eventId' | 'kept'> & Partial<KeptEvent>): void {
    const { number, fields, eventId, kept } = event
    for (const { number: since, offered, gone, match = {}, id, path } of box.waiters.values()) {
      const wants = Object.entries(match).every(([name, value]) => fields?.[name] === value)
      if (since < number && offered === 0 && !gone && wants)
        this.#broken(
          `E3: event ${eventId} at ${box.keys.address} is ${kept ? 'kept' : 'taken'}, though ${id}${path} waits for it, too`,
        )
    }
  }
}

/** Of an entry that waits. */
const IS_MARK = /^P[^/]*\/\d+:w/
