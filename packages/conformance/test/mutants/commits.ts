import type { Bytes, PartitionSession, Position } from '@tasks/core'
import { pause } from '../../src/patience'
import type { Mutant } from './broken'
import { asText, fenced, isCode } from './broken'

/** Commits of earlier claims go through, as the current one's, for `forMs` after a claim. */
function unfenced(forMs: number): Mutant['changes'] {
  return () => {
    const current = new Map<string, { readonly session: PartitionSession; readonly at: number }>()
    return {
      session(session, space) {
        const key = `${space.namespace} ${session.partition}`
        current.set(key, { session, at: performance.now() })
        return {
          commit: (commit) =>
            session.commit(commit).catch((error: unknown) => {
              const now = current.get(key)!
              if (!isCode(error, 'TASKS_FENCED') || now.session === session || performance.now() - now.at > forMs)
                throw error
              return now.session.commit(commit)
            }),
        }
      },
    }
  }
}

export const commits: readonly Mutant[] = [
  {
    name: 'forgets what a commit consumed',
    caught: ['applies the rows, consumed messages and sends of a commit together'],
    changes: () => ({
      session: (session) => ({
        commit: ({ seq, time, rows, sends }) => session.commit({ seq, time, rows, sends }),
      }),
    }),
  },
  {
    name: 'forgets the rows of a commit that has sends',
    caught: ['applies the rows, consumed messages and sends of a commit together'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) => session.commit(commit.sends.length > 0 ? { ...commit, rows: new Map() } : commit),
      }),
    }),
  },
  {
    name: 'does not look whether a row is there',
    caught: ['refuses a commit that takes a row to be new which is there, and goes on'],
    changes: () => ({
      session: (session) => ({
        commit: ({ absent: _, ...commit }) => session.commit(commit),
      }),
    }),
  },
  {
    name: 'checks the sequence after it has applied the rows',
    caught: ['changes nothing when a commit is refused'],
    changes: () => ({
      session(session) {
        let next = session.seq + 1
        return {
          async commit(commit) {
            await session.commit({ ...commit, seq: next })
            if (commit.seq !== next++) throw fenced()
          },
        }
      },
    }),
  },
  {
    name: 'resolves commits before they are applied',
    caught: ['shows a commit to load and scan once it has resolved'],
    changes: () => ({
      session: (session) => ({
        async commit(commit) {
          void pause(5)
            .then(() => session.commit(commit))
            .catch(() => {})
        },
      }),
    }),
  },
  {
    name: 'never deletes a row',
    caught: ['deletes a row with null, and writes it anew later'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) =>
          session.commit({ ...commit, rows: new Map([...commit.rows].filter(([, value]) => value !== null)) }),
      }),
    }),
  },
  {
    name: 'consumes all that was polled, whatever a commit says',
    caught: [
      'consumes nothing when a commit names no position',
      'polls from the last committed position in a new session',
    ],
    changes: () => ({
      session(session) {
        let polled: Position | undefined
        return {
          async poll(options) {
            const messages = await session.poll(options)
            polled = messages.at(-1)?.position ?? polled
            return messages
          },
          commit: (commit) => session.commit(polled === undefined ? commit : { ...commit, through: polled }),
        }
      },
    }),
  },
  {
    name: 'drops commits that change nothing',
    caught: ['takes a commit with nothing in it'],
    changes: () => ({
      session: (session) => ({
        async commit(commit) {
          if (commit.rows.size > 0 || commit.sends.length > 0 || commit.through !== undefined)
            await session.commit(commit)
        },
      }),
    }),
  },
  {
    name: 'keeps rows as text',
    caught: ['keeps row values byte for byte'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) =>
          session.commit({
            ...commit,
            rows: new Map([...commit.rows].map(([key, value]) => [key, value && asText(value)])),
          }),
      }),
    }),
  },
  {
    name: 'keeps the caller’s buffers',
    caught: ['keeps what was stored when callers change their buffers afterwards'],
    changes: () => ({
      session(session) {
        const kept = new Map<string, Bytes | null>()
        return {
          async commit(commit) {
            await session.commit(commit)
            for (const [key, value] of commit.rows) kept.set(key, value)
          },
          load: async (keys) => keys.map((key) => kept.get(key) ?? undefined),
        }
      },
    }),
  },
  {
    name: 'refuses all of a batch when one of it is refused',
    caught: ['keeps apart what is committed and sent at the same time'],
    changes() {
      let batch: Promise<unknown>[] = []
      return {
        session: (session) => ({
          async commit(commit) {
            const together = batch
            const applied = session.commit(commit)
            applied.catch(() => {})
            together.push(applied)
            await pause(0)
            batch = []
            await Promise.all(together)
          },
        }),
      }
    },
  },
  {
    name: 'has no fence',
    caught: [
      'refuses the commits of a session whose partition was claimed again by the same host',
      'refuses the commits of a host whose partition another host has',
      'refuses the commits of an owner that was stopped for longer than its lease',
    ],
    changes: unfenced(Infinity),
  },
  {
    name: 'raises its fence a little late',
    caught: ['is fenced before the new owner is called'],
    changes: unfenced(20),
  },
  {
    name: 'starts its epochs again with every host',
    caught: ['names every claim apart, with growing epochs'],
    changes: () => ({
      host(host) {
        let epoch = 0
        return {
          run: (onOwned, signal) =>
            host.run((session) => {
              epoch++
              return onOwned(
                new Proxy(session, {
                  get: (target, key) =>
                    key === 'epoch' ? epoch : key === 'claim' ? `${epoch}-${session.claim}` : bound(target, key),
                }),
              )
            }, signal),
        }
      },
    }),
  },
  {
    name: 'uses a nonce twice',
    caught: ['names every claim apart, with growing epochs'],
    changes: () => ({ session: ({ epoch }) => ({ claim: `${epoch}-nonce` }) }),
  },
  {
    name: 'lets a session go on after a refused commit',
    caught: ['ends a session whose commit was refused'],
    changes: () => ({
      session(session) {
        let next = session.seq + 1
        return {
          async commit(commit) {
            if (commit.seq !== next) throw fenced()
            await session.commit(commit)
            next++
          },
        }
      },
    }),
  },
  {
    name: 'takes commits in whatever order they come',
    caught: ['gives a repeated sequence number no second effect', 'refuses a sequence number that does not follow'],
    changes: () => ({
      session(session) {
        let next = session.seq + 1
        return { commit: (commit) => session.commit({ ...commit, seq: next++ }) }
      },
    }),
  },
  {
    name: 'counts commits from 1 in every session',
    caught: ['counts commits over all sessions and hosts'],
    changes: () => ({
      session: (session) => ({
        seq: 0,
        commit: (commit) => session.commit({ ...commit, seq: commit.seq + session.seq }),
      }),
    }),
  },
  {
    name: 'calls a commit applied that nobody answered',
    caught: ['applies a commit that is lost wholly or not at all, and says which'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) =>
          session.commit(commit).catch((error: unknown) => {
            if (!isCode(error, 'TASKS_UNAVAILABLE')) throw error
          }),
      }),
    }),
  },
  {
    name: 'calls a commit refused that nobody answered',
    caught: ['applies a commit that is unanswered wholly or not at all, and says which'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) =>
          session.commit(commit).catch((error: unknown) => {
            throw isCode(error, 'TASKS_UNAVAILABLE') ? fenced() : error
          }),
      }),
    }),
  },
]

function bound(target: PartitionSession, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key, target)
  return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
}
