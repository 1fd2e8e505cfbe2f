import type { Blobs, Bytes } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { checkPage } from '@tasks/core/adapter'
import { BYTES } from './driver'
import type { Group } from './group-commit'
import { MAX_MESSAGE_BYTES } from './limits'
import { afterPrefix } from './rows'

export function blobs(group: Group, lifetime: Lifetime, namespace: number, clock: Clock): Blobs {
  return {
    async put(key, page, bytes) {
      lifetime.refuseIfOver()
      checkPage(key, page, bytes, MAX_MESSAGE_BYTES)
      // Write-once: a page that is there already is the same one put again.
      await group.write((write) => {
        const there = write.get('SELECT 1 FROM blob WHERE namespace = ? AND key = ? AND page = ?', namespace, key, page)
        if (!there)
          write.run(`INSERT INTO blob VALUES (NULL, ?, ?, ?, ?, ${BYTES})`, namespace, key, page, clock.now(), bytes)
      })
    },
    async get(key, page) {
      lifetime.refuseIfOver()
      const row = group.get('SELECT bytes FROM blob WHERE namespace = ? AND key = ? AND page = ?', namespace, key, page)
      return row?.['bytes'] as Bytes | undefined
    },
    async drop(prefix) {
      lifetime.refuseIfOver()
      const end = afterPrefix(prefix)
      await group.write((write) =>
        end === undefined
          ? write.run('DELETE FROM blob WHERE namespace = ? AND key >= ?', namespace, prefix)
          : write.run('DELETE FROM blob WHERE namespace = ? AND key >= ? AND key < ?', namespace, prefix, end),
      )
    },
    async list({ after, limit }) {
      lifetime.refuseIfOver()
      const found = group.all(
        'SELECT key, min(at) AS at FROM blob WHERE namespace = ? AND key > ? GROUP BY key ORDER BY key LIMIT ?',
        namespace,
        after ?? '',
        limit,
      )
      return found.map(({ key, at }) => ({ key: key as string, at: at as number }))
    },
  }
}
