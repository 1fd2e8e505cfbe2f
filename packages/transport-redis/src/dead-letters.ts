import type { DeadLetter, DeadLetterInfo, DeadLetters, Send } from '@tasks/core'
import type { Lifetime } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { Keys } from './keys'
import type { Outbox } from './outbox'
import { Parts } from './outbox'
import { takeLetter } from './scripts/dead'

/** What the stream calls an entry. */
const ID = /^\d+-\d+$/

type Entry = readonly [id: Buffer, fields: readonly Buffer[]]

export interface DeadLettersParts {
  readonly connection: Connection
  readonly lifetime: Lifetime
  readonly keys: Keys
  readonly outbox: Outbox
  readonly check: (sends: readonly Send[]) => void
}

export function deadLetters({ connection, lifetime, keys, outbox, check }: DeadLettersParts): DeadLetters {
  const range = async (from: string, to: string, limit: number): Promise<readonly DeadLetter[]> => {
    const found = (await connection.command('xrange', keys.dead, from, to, 'COUNT', limit)) as readonly Entry[]
    return found.map(letterOf)
  }
  const take = async (id: string, sends: readonly Send[]): Promise<boolean> => {
    if (!ID.test(id)) return false
    const parts = new Parts(outbox.commonKeys, [id])
    outbox.write(parts, sends)
    return (await connection.run(takeLetter, parts.keys, parts.args)) === 1
  }
  return {
    async list({ after, limit }) {
      lifetime.refuseIfOver()
      if (limit <= 0 || (after !== undefined && !ID.test(after))) return []
      return range(after === undefined ? '-' : `(${after}`, '+', limit)
    },
    async get(id) {
      lifetime.refuseIfOver()
      return ID.test(id) ? (await range(id, id, 1))[0] : undefined
    },
    async redrive(id, send) {
      lifetime.refuseIfOver()
      check([send])
      return take(id, [send])
    },
    async drop(id) {
      lifetime.refuseIfOver()
      return take(id, [])
    },
  }
}

/** Its fields are id, info and body, in this order (scripts/shared.ts). */
function letterOf([entry, fields]: Entry): DeadLetter {
  const id = entry.toString()
  return {
    id,
    at: Number(id.slice(0, id.indexOf('-'))),
    info: JSON.parse(fields[3]!.toString()) as DeadLetterInfo,
    body: fields[5]!,
  }
}
