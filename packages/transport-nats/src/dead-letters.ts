import type { DeadLetter, DeadLetters, Send } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Names } from './names'
import type { Outbox } from './outbox'
import { decodeLetter } from './outbox'
import { readAll } from './reader'

/** The sequence in the stream. */
const ID = /^[1-9]\d{0,15}$/

export interface DeadLettersParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
  readonly outbox: Outbox
  readonly check: (sends: readonly Send[]) => void
  readonly patienceMs: number
}

export function deadLetters({
  jetstream,
  clock,
  lifetime,
  names,
  outbox,
  check,
  patienceMs,
}: DeadLettersParts): DeadLetters {
  const stream = names.streams.dead
  const find = async (id: string): Promise<DeadLetter | undefined> => {
    const found = ID.test(id) ? await jetstream.find(stream, { seq: Number(id) }) : undefined
    return found && decodeLetter(found)
  }
  return {
    async list({ after, limit }) {
      lifetime.refuseIfOver()
      if (limit <= 0 || (after !== undefined && !ID.test(after))) return []
      const letters: DeadLetter[] = []
      const from = after === undefined ? 1 : Number(after) + 1
      await readAll({ jetstream, clock, stream, filter: names.dead, from, limit, patienceMs }, (messages) => {
        for (const message of messages) letters.push(decodeLetter(message))
      })
      return letters
    },
    async get(id) {
      lifetime.refuseIfOver()
      return find(id)
    },
    async redrive(id, send) {
      lifetime.refuseIfOver()
      check([send])
      if ((await find(id)) === undefined) return false
      await outbox.sendAll([send])
      await jetstream.delete(stream, Number(id))
      return true
    },
    async drop(id) {
      lifetime.refuseIfOver()
      return ID.test(id) && jetstream.delete(stream, Number(id))
    },
  }
}
