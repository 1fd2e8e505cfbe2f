import type { Mutant } from './broken'
import { asText } from './broken'

export const storage: readonly Mutant[] = [
  {
    name: 'forgets how a dead letter failed',
    caught: ['keeps dead letters whole'],
    changes: () => ({
      space: ({ dead }) => ({
        dead: {
          ...dead,
          list: async (options) =>
            (await dead.list(options)).map((letter) => ({
              ...letter,
              info: { reason: letter.info.reason, message: letter.info.message, source: letter.info.source },
            })),
        },
      }),
    }),
  },
  {
    name: 'lists the newest dead letter first',
    caught: ['lists dead letters in the order of their arrival, page by page'],
    changes: () => ({
      space: ({ dead }) => ({ dead: { ...dead, list: async (options) => [...(await dead.list(options))].reverse() } }),
    }),
  },
  {
    name: 'lists the first page of dead letters over and over',
    caught: ['lists dead letters in the order of their arrival, page by page'],
    changes: () => ({ space: ({ dead }) => ({ dead: { ...dead, list: ({ limit }) => dead.list({ limit }) } }) }),
  },
  {
    name: 'keeps a dead letter that was redriven',
    caught: ['redrives a dead letter once'],
    changes: () => ({
      space: (space) => ({
        dead: {
          ...space.dead,
          async redrive(id, send) {
            if ((await space.dead.get(id)) === undefined) return false
            await space.send([send])
            return true
          },
        },
      }),
    }),
  },
  {
    name: 'redrives dead letters that are not there',
    caught: ['redrives a dead letter once'],
    changes: () => ({
      space: (space) => ({
        dead: {
          ...space.dead,
          async redrive(id, send) {
            await space.send([send])
            return space.dead.drop(id)
          },
        },
      }),
    }),
  },
  {
    name: 'says that it has dropped what is not there',
    caught: ['drops a dead letter'],
    changes: () => ({
      space: ({ dead }) => ({ dead: { ...dead, drop: async (id) => (await dead.drop(id)) || true } }),
    }),
  },
  {
    name: 'keeps blobs as text',
    caught: ['keeps the pages of a blob, byte for byte, for everybody'],
    changes: () => ({
      space: ({ blobs }) => ({ blobs: { ...blobs, put: (key, page, bytes) => blobs.put(key, page, asText(bytes)) } }),
    }),
  },
  {
    name: 'refuses a page that it has',
    caught: ['takes a page of a blob twice'],
    changes: () => ({
      space: ({ blobs }) => ({
        blobs: {
          ...blobs,
          async put(key, page, bytes) {
            if ((await blobs.get(key, page)) !== undefined) throw new Error('written once already')
            await blobs.put(key, page, bytes)
          },
        },
      }),
    }),
  },
  {
    name: 'lists blobs from the last to the first',
    caught: ['lists blobs in the order of their keys, page by page, with their age'],
    changes: () => ({
      space: ({ blobs }) => ({
        blobs: { ...blobs, list: async (options) => [...(await blobs.list(options))].reverse() },
      }),
    }),
  },
  {
    name: 'does not know how old a blob is',
    caught: ['lists blobs in the order of their keys, page by page, with their age'],
    changes: () => ({
      space: ({ blobs }) => ({
        blobs: { ...blobs, list: async (options) => (await blobs.list(options)).map(({ key }) => ({ key, at: 0 })) },
      }),
    }),
  },
  {
    name: 'drops blobs by the first letter',
    caught: ['drops the blobs of a prefix, and no others'],
    changes: () => ({
      space: ({ blobs }) => ({ blobs: { ...blobs, drop: (prefix) => blobs.drop(prefix.slice(0, 1)) } }),
    }),
  },
]
