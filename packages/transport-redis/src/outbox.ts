// Sends, as arguments of the scripts that make them (scripts/shared.ts).
import type { EventRetention, Send } from '@tasks/core'
import type { Argument } from './call'
import { encodeBundles, encodeFrame, type Message } from './frame'
import type { Keys, QueueKeys } from './keys'
import { PRIORITIES } from './limits'
import { replyTo } from './mailbox'
import type { ServerClock } from './server-clock'

/** Keys and arguments of one call; a key that is used twice is passed once. */
export class Parts {
  readonly keys: string[]
  readonly args: Argument[]
  readonly #places = new Map<string, number>()

  constructor(keys: readonly string[], args: readonly Argument[] = []) {
    this.keys = [...keys]
    this.args = [...args]
  }

  /** The place of the first of these keys, as Lua counts. */
  place(keys: readonly string[]): number {
    const known = this.#places.get(keys[0]!)
    if (known !== undefined) return known
    const place = this.keys.length + 1
    this.keys.push(...keys)
    this.#places.set(keys[0]!, place)
    return place
  }
}

export class Outbox {
  readonly #keys: Keys
  readonly #clock: ServerClock
  readonly #retention: EventRetention

  constructor(keys: Keys, clock: ServerClock, retention: EventRetention) {
    this.#keys = keys
    this.#clock = clock
    this.#retention = retention
  }

  /** The keys that every script which sends begins with. */
  get commonKeys(): readonly string[] {
    return [this.#keys.waiting, this.#keys.order, this.#keys.dead]
  }

  /** For sends that were checked. */
  write(parts: Parts, sends: readonly Send[]): void {
    if (sends.length === 0) return
    const now = this.#clock.now()
    const tasks = new Map<QueueKeys, Message[]>()
    const high = new Map<QueueKeys, Argument[]>()
    const inboxes = new Map<number, Buffer[]>()
    const events = new Map<number, Argument[]>()
    for (const send of sends) {
      const { target, id, body } = send
      switch (target.to) {
        case 'task': {
          const queue = this.#keys.queue(target.queue)
          const priority = levelOf(target.priority)
          if (priority === 0) append(tasks, queue, send)
          else append(high, queue, priority, encodeFrame(send, now, priority))
          break
        }
        case 'inbox':
          append(inboxes, target.partition, encodeFrame(send, now, 0))
          break
        case 'events':
          append(events, target.partition, id, body)
          break
        case 'reply': {
          const reply = replyTo(this.#keys, target.address, body)
          if (reply !== undefined) parts.args.push('r', reply.channel, reply.message)
          break
        }
        case 'dead':
          parts.args.push('d', id, JSON.stringify(target.letter), body)
          break
      }
    }
    for (const [queue, pairs] of high) addAll(parts.args, ['h', parts.place(queue.all), pairs.length / 2], pairs)
    for (const [queue, messages] of tasks) {
      const bundles = encodeBundles(messages, now)
      addAll(parts.args, ['t', parts.place(queue.all), bundles.length], bundles)
    }
    for (const [partition, frames] of inboxes) {
      const { state, inbox } = this.#keys.partition(partition)
      addAll(parts.args, ['i', parts.place([state, inbox]), frames.length], frames)
    }
    const { maxAgeMs, maxBytes } = this.#retention
    for (const [partition, pairs] of events) {
      const { state, events: stream } = this.#keys.partition(partition)
      const place = parts.place([stream, state])
      addAll(parts.args, ['e', place, pairs.length, partition, this.#keys.events, maxAgeMs, maxBytes], pairs)
    }
  }
}

function levelOf(priority = 0): number {
  return Math.min(PRIORITIES - 1, Math.max(0, Math.trunc(priority)))
}

function append<K, V>(map: Map<K, V[]>, key: K, ...values: V[]): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, values)
  else known.push(...values)
}

function addAll(args: Argument[], head: readonly Argument[], items: readonly Argument[]): void {
  for (const argument of head) args.push(argument)
  for (const item of items) args.push(item)
}
