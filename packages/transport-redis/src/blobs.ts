import type { Blobs } from '@tasks/core'
import type { Lifetime } from '@tasks/core/adapter'
import { checkPage } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { Keys } from './keys'
import { MAX_MESSAGE_BYTES } from './limits'
import { dropBlobs, putPage } from './scripts/blob'

/** Blobs dropped by one call. */
const PAGE = 100

export function blobs(connection: Connection, lifetime: Lifetime, keys: Keys): Blobs {
  const list = async (from: string, to: Buffer | string, limit: number): Promise<readonly string[]> => {
    const found = await connection.command('zrangebylex', keys.blobs, from, to, 'LIMIT', 0, limit)
    return (found as readonly Buffer[]).map(String)
  }
  return {
    async put(key, page, bytes) {
      lifetime.refuseIfOver()
      checkPage(key, page, bytes, MAX_MESSAGE_BYTES)
      await connection.run(putPage, [keys.blobs, keys.blob(key)], [key, page, bytes])
    },
    async get(key, page) {
      lifetime.refuseIfOver()
      const found = (await connection.command('hget', keys.blob(key), page)) as Buffer | null
      return found ?? undefined
    },
    async drop(prefix) {
      lifetime.refuseIfOver()
      const end = Buffer.concat([Buffer.from(`(${prefix}`), Buffer.from([0xff])])
      for (;;) {
        const found = await list(`[${prefix}`, end, PAGE)
        if (found.length > 0)
          await connection.run(dropBlobs, [keys.blobs, ...found.map((key) => keys.blob(key))], found)
        if (found.length < PAGE) return
      }
    },
    async list({ after, limit }) {
      lifetime.refuseIfOver()
      if (limit <= 0) return []
      const found = await list(after === undefined ? '-' : `(${after}`, '+', limit)
      const times = await Promise.all(found.map((key) => connection.command('hget', keys.blob(key), 'at')))
      // One that was dropped meanwhile has none.
      return found.flatMap((key, i) => {
        const at = times[i] as Buffer | null
        return at ? [{ key, at: Number(at.toString()) }] : []
      })
    },
  }
}
