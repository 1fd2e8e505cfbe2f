import type { Bytes, DeadLetter, DeadLetterInfo, DeadLetters, Send } from '@tasks/core'
import type { Lifetime } from '@tasks/core/adapter'
import { BYTES } from './driver'
import type { Group, Row, Write } from './group-commit'

/** How a letter goes back to its queue. */
interface WayBack {
  check(sends: readonly Send[]): void
  write(write: Write, sends: readonly Send[]): void
}

/** `seq` is the letter's own, drawn by the caller. */
export function addLetter(
  write: Write,
  seq: number,
  namespace: number,
  id: string,
  at: number,
  info: DeadLetterInfo,
  body: Bytes,
): void {
  write.run(`INSERT INTO dead VALUES (?, ?, ?, ?, ?, ${BYTES})`, seq, namespace, id, at, JSON.stringify(info), body)
}

export function deadLetters(group: Group, lifetime: Lifetime, namespace: number, outbox: WayBack): DeadLetters {
  const drop = (write: Write, id: string): boolean =>
    write.run('DELETE FROM dead WHERE seq = ? AND namespace = ?', Number(id), namespace) > 0
  return {
    async list({ after, limit }) {
      lifetime.refuseIfOver()
      return group
        .all(
          'SELECT * FROM dead WHERE namespace = ? AND seq > ? ORDER BY seq LIMIT ?',
          namespace,
          Number(after ?? 0),
          limit,
        )
        .map(letter)
    },
    async get(id) {
      lifetime.refuseIfOver()
      const row = group.get('SELECT * FROM dead WHERE seq = ? AND namespace = ?', Number(id), namespace)
      return row && letter(row)
    },
    async redrive(id, send) {
      lifetime.refuseIfOver()
      outbox.check([send])
      return group.write((write) => {
        if (!drop(write, id)) return false
        outbox.write(write, [send])
        return true
      })
    },
    async drop(id) {
      lifetime.refuseIfOver()
      return group.write((write) => drop(write, id))
    },
  }
}

function letter(row: Row): DeadLetter {
  return {
    // Ids sort in the order of arrival.
    id: String(row['seq']).padStart(12, '0'),
    at: row['at'] as number,
    info: JSON.parse(row['info'] as string) as DeadLetterInfo,
    body: row['body'] as Bytes,
  }
}
