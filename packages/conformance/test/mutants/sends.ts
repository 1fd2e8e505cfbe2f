import type { Send, SendOutcome } from '@tasks/core'
import { pause } from '../../src/patience'
import type { Mutant } from './broken'
import { asText, sendsAsText } from './broken'

const stored = (): SendOutcome => ({ ok: true })
const isTo = (kind: Send['target']['to']) => (send: Send) => send.target.to === kind

export const sends: readonly Mutant[] = [
  {
    name: 'commits no dead letters',
    caught: ['delivers the sends of a commit to every kind of target'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) => session.commit({ ...commit, sends: commit.sends.filter((send) => !isTo('dead')(send)) }),
      }),
    }),
  },
  {
    name: 'sends no dead letters',
    caught: ['delivers sends outside a commit to every kind of target'],
    changes: () => ({
      space: (space) => ({
        async send(batch) {
          await space.send(batch.filter((send) => !isTo('dead')(send)))
          return batch.map(stored)
        },
      }),
    }),
  },
  {
    name: 'commits no events',
    caught: ['delivers the sends of a commit to every kind of target'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) => session.commit({ ...commit, sends: commit.sends.filter((send) => !isTo('events')(send)) }),
      }),
    }),
  },
  {
    name: 'makes the sends of a commit before the commit',
    caught: [
      'delivers none of the sends of a commit that failed',
      'changes nothing when a commit is refused',
      'refuses a commit with a larger message, changes nothing, and goes on',
    ],
    changes: () => ({
      session: (session, space) => ({
        async commit(commit) {
          await space.send(commit.sends)
          await session.commit(commit)
        },
      }),
    }),
  },
  {
    name: 'makes the first two hundred sends of a commit',
    caught: ['delivers all of 1,000 sends of a few commits'],
    changes: () => ({
      session: (session) => ({ commit: (commit) => session.commit({ ...commit, sends: commit.sends.slice(0, 200) }) }),
    }),
  },
  {
    name: 'commits bodies as text',
    caught: ['delivers the sends of a commit as they were, byte for byte'],
    changes: () => ({
      session: (session) => ({ commit: (commit) => session.commit({ ...commit, sends: sendsAsText(commit.sends) }) }),
    }),
  },
  {
    name: 'relays the sends of a commit from the memory of its owner',
    caught: ['delivers the sends of a commit whose owner died right after it'],
    changes: () => ({
      session: (session, space) => ({
        async commit(commit) {
          await session.commit({ ...commit, sends: [] })
          void pause(5)
            .then(() => space.send(commit.sends))
            .catch(() => {})
        },
      }),
    }),
  },
  {
    name: 'loses one inbox message in a hundred',
    caught: ['brings every acknowledged send into the inbox'],
    changes() {
      let count = 0
      return {
        space: (space) => ({
          async send(batch) {
            await space.send(batch.filter((send) => !isTo('inbox')(send) || ++count % 100 !== 0))
            return batch.map(stored)
          },
        }),
      }
    },
  },
  {
    name: 'loses inbox messages while nobody owns the partition',
    caught: ['keeps inbox messages until somebody owns the partition'],
    changes() {
      let owned = false
      return {
        session() {
          owned = true
          return {}
        },
        space: (space) => ({
          async send(batch) {
            await space.send(batch.filter((send) => owned || !isTo('inbox')(send)))
            return batch.map(stored)
          },
        }),
      }
    },
  },
  {
    name: 'looks for inbox messages only when a wait is over',
    caught: ['wakes a poll that waits'],
    changes: () => ({
      session: (session) => ({
        async poll({ max, waitMs }) {
          const messages = await session.poll({ max, waitMs: 0 })
          if (messages.length > 0 || waitMs === 0) return messages
          await pause(waitMs)
          return session.poll({ max, waitMs: 0 })
        },
      }),
    }),
  },
  {
    name: 'polls as much as there is',
    caught: ['polls no more than was asked for'],
    changes: () => ({ session: (session) => ({ poll: (options) => session.poll({ ...options, max: 1000 }) }) }),
  },
  {
    name: 'has one inbox for all partitions',
    caught: ['brings each message into its own partition'],
    changes: () => ({
      space: (space) => ({
        send: (batch) =>
          space.send(
            batch.map((send) => (isTo('inbox')(send) ? { ...send, target: { to: 'inbox', partition: 0 } } : send)),
          ),
      }),
    }),
  },
  {
    name: 'sends bodies as text',
    caught: [
      'brings ids and bodies into the inbox byte for byte',
      'hands out ids, queues and bodies as they were sent',
    ],
    changes: () => ({ space: (space) => ({ send: (batch) => space.send(sendsAsText(batch)) }) }),
  },

  // ---- Unknown outcomes
  {
    name: 'calls every send ok',
    caught: ['answers a send that is lost truthfully'],
    changes: () => ({
      space: (space) => ({ send: async (batch) => (await space.send(batch)).map(stored) }),
    }),
  },
  {
    name: 'calls a send certainly failed that nobody answered',
    caught: ['answers a send that is unanswered truthfully'],
    changes: () => ({
      space: (space) => ({
        send: async (batch) =>
          (await space.send(batch)).map((outcome) => (outcome.ok ? outcome : { ...outcome, certain: true })),
      }),
    }),
  },
  {
    name: 'acknowledges by itself what could not be settled',
    caught: ['acknowledges nothing whose sends are not stored, when a settlement is lost'],
    changes: () => ({
      consumer: (consumer) => ({
        settle: (settlements, sends) =>
          consumer.settle(settlements, sends).catch(async (error: unknown) => {
            await consumer.settle(settlements, [])
            throw error
          }),
      }),
    }),
  },
  {
    name: 'acknowledges first and sends then',
    caught: ['acknowledges nothing whose sends are not stored, when a settlement is unanswered'],
    changes: () => ({
      consumer: (consumer) => ({
        async settle(settlements, sends) {
          await consumer.settle(settlements, [])
          await consumer.settle([], sends)
        },
      }),
    }),
  },

  // ---- Replies and signals
  {
    name: 'brings every reply to everybody',
    caught: ['brings replies to their address, and to no other'],
    changes() {
      const heard = new Set<(body: Uint8Array) => void>()
      return {
        space: (space) => ({
          replies(onReply) {
            heard.add(onReply)
            return space.replies((body) => {
              for (const each of heard) each(body)
            })
          },
        }),
      }
    },
  },
  {
    name: 'brings replies as text',
    caught: ['brings replies byte for byte'],
    changes: () => ({ space: (space) => ({ replies: (onReply) => space.replies((body) => onReply(asText(body))) }) }),
  },
  {
    name: 'brings replies to addresses that are closed',
    caught: ['brings no reply to an address that was closed'],
    changes: () => ({
      space: (space) => ({
        replies: async (onReply) => ({ address: (await space.replies(onReply)).address, close: async () => {} }),
      }),
    }),
  },
  {
    name: 'brings signals to the first listener only',
    caught: ['brings signals to every process, this one included'],
    changes() {
      let listeners = 0
      return { space: (space) => ({ onSignal: (handler) => (listeners++ === 0 ? space.onSignal(handler) : () => {}) }) }
    },
  },
  {
    name: 'brings signals to those who have stopped listening',
    caught: ['brings no signal to those who have stopped listening'],
    changes: () => ({
      space: (space) => ({
        onSignal(handler) {
          space.onSignal(handler)
          return () => {}
        },
      }),
    }),
  },
]
