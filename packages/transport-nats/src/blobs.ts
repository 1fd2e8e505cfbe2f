// Each page is a message, the last of its subject: written twice, it is there once. The segments of a key are tokens of the subject, so that what begins with some
// of them goes in one call.
import type { Blobs } from '@tasks/core'
import type { Clock, Lifetime } from '@tasks/core/adapter'
import { checkPage, compareUtf8 } from '@tasks/core/adapter'
import type { JetStream } from './jetstream'
import type { Names } from './names'
import { readAll } from './reader'

export interface BlobsParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly names: Names
  readonly maxPageBytes: number
  readonly patienceMs: number
}

export function blobs({ jetstream, clock, lifetime, names, maxPageBytes, patienceMs }: BlobsParts): Blobs {
  const stream = names.streams.blob

  /** Every blob, with the time of its first page: no server sorts them, so there is no asking for a part. */
  const all = async (): Promise<{ readonly key: string; readonly at: number }[]> => {
    const found: { key: string; at: number }[] = []
    const filter = names.firstPages
    await readAll(
      { jetstream, clock, stream, filter, from: 1, headersOnly: true, limit: Infinity, patienceMs },
      (messages) => {
        for (const { subject, at } of messages) found.push({ key: names.blobKeyOf(subject), at: Math.floor(at) })
      },
    )
    return found
  }

  return {
    async put(key, page, bytes) {
      lifetime.refuseIfOver()
      checkPage(key, page, bytes, maxPageBytes)
      const subject = names.blob(key, page)
      await jetstream.connection.insist(subject, true, () => jetstream.store(subject, bytes))
    },
    async get(key, page) {
      lifetime.refuseIfOver()
      return jetstream.findDirect(stream, { last_by_subj: names.blob(key, page) })
    },
    async drop(prefix) {
      lifetime.refuseIfOver()
      if (prefix.endsWith('/')) return jetstream.purge(stream, `${names.blob(prefix.slice(0, -1), '*')}.>`)
      for (const { key } of await all()) if (key.startsWith(prefix)) await jetstream.purge(stream, names.blob(key, '*'))
    },
    async list({ after, limit }) {
      lifetime.refuseIfOver()
      if (limit <= 0) return []
      const found = await all()
      return found
        .filter(({ key }) => after === undefined || compareUtf8(key, after) > 0)
        .sort((a, b) => compareUtf8(a.key, b.key))
        .slice(0, limit)
    },
  }
}
