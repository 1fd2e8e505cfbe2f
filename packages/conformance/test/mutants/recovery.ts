import type { PartitionSession } from '@tasks/core'
import type { Mutant } from './broken'

export const recovery: readonly Mutant[] = [
  {
    name: 'forgets the time of the last commit',
    caught: ['gives a new session exactly what was committed', 'takes a commit with nothing in it'],
    changes: () => ({ session: () => ({ time: 0 }) }),
  },
  {
    name: 'shows a new session rows that were deleted',
    caught: ['gives a new session exactly what was committed'],
    changes() {
      const deleted = new Set<string>()
      const ghost = new Uint8Array([1])
      return {
        session: (session) => ({
          async commit(commit) {
            await session.commit(commit)
            for (const [key, value] of commit.rows) if (value === null) deleted.add(key)
          },
          load: async (keys) =>
            (await session.load(keys)).map(
              (value, i) => value ?? (session.seq > 0 && deleted.has(keys[i]!) ? ghost : undefined),
            ),
        }),
      }
    },
  },
  {
    name: 'acknowledges inbox messages when they are polled',
    caught: ['polls from the last committed position in a new session', 'changes nothing when a commit is refused'],
    changes() {
      const polled = new Set<string>()
      return {
        session(session, space) {
          const before = new Set(polled)
          const name = (position: string): string => `${space.namespace} ${session.partition} ${position}`
          return {
            async poll(options) {
              const messages = (await session.poll(options)).filter(({ position }) => !before.has(name(position)))
              for (const { position } of messages) polled.add(name(position))
              return messages
            },
          }
        },
      }
    },
  },
  {
    name: 'gives every second poll what the last one got',
    caught: ['goes on in a session where its last poll ended'],
    changes: () => ({
      session(session) {
        let last: Awaited<ReturnType<PartitionSession['poll']>> = []
        let polls = 0
        return {
          async poll(options) {
            if (polls++ % 2 === 0 || last.length === 0) last = await session.poll(options)
            return last
          },
        }
      },
    }),
  },
  {
    name: 'loads rows in the order of their keys',
    caught: ['loads rows in the order they were asked for'],
    changes: () => ({ session: (session) => ({ load: (keys) => session.load([...keys].sort()) }) }),
  },
  {
    name: 'orders keys as JavaScript does',
    caught: ['scans rows in the order of their UTF-8 bytes'],
    changes: () => ({
      session: (session) => ({
        async scan(prefix, after, limit) {
          const rows = await session.scan(prefix, undefined, 1e6)
          const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1))
          return sorted.filter(([key]) => after === undefined || key > after).slice(0, limit)
        },
      }),
    }),
  },
  {
    name: 'starts a page with the key that it should come after',
    caught: ['pages through a scan without missing or repeating a row'],
    changes: () => ({
      session: (session) => ({ scan: (prefix, after, limit) => session.scan(prefix, after?.slice(0, -1), limit) }),
    }),
  },
  {
    name: 'has a wildcard',
    caught: ['scans the rows of its prefix only, whatever characters an id has'],
    changes: () => ({
      session: (session) => ({
        async scan(prefix, after, limit) {
          const rows = await session.scan(prefix, after, limit)
          return prefix.includes('_')
            ? [...rows, ...(await session.scan(prefix.replace('_', '%'), after, limit))].slice(0, limit)
            : rows
        },
      }),
    }),
  },
  {
    name: 'keeps the rows of all partitions together',
    caught: ['keeps the rows of two partitions apart'],
    changes() {
      const zero = new Map<string, PartitionSession>()
      return {
        session(session, space) {
          if (session.partition === 0) zero.set(space.namespace, session)
          const rows = (): PartitionSession => zero.get(space.namespace) ?? session
          return { load: (keys) => rows().load(keys), scan: (...args) => rows().scan(...args) }
        },
      }
    },
  },
  {
    name: 'has a reader that reads nothing',
    caught: ['reads committed rows without owning them'],
    changes: () => ({
      space: () => ({ reader: { load: async (_, keys) => keys.map(() => undefined), scan: async () => [] } }),
    }),
  },
  {
    name: 'keeps everything in the connections',
    caught: ['keeps everything when the last connection has gone'],
    changes() {
      let open = 0
      return {
        transport(transport) {
          open++
          return {
            async close() {
              await transport.close()
              if (--open === 0) transport.store.namespaces.clear()
            },
          }
        },
      }
    },
  },
  {
    name: 'keeps everything in the memory of the server',
    caught: ['keeps everything over a restart of the server'],
    changes: () => ({ restart: (store) => store.namespaces.clear() }),
  },
]
