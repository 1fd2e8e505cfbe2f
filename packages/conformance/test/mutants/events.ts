import type { EventLog, EventPage, EventSubscription, HeldPage, Send, Space } from '@tasks/core'
import { pause } from '../../src/patience'
import type { Changes, Mutant } from './broken'
import { override } from '../../src/override'
import { asText, never } from './broken'

const isEvent = ({ target }: Send): boolean => target.to === 'events'

/** A space with another event log. */
function log(changes: (events: EventLog, space: Space) => Partial<EventLog>): Changes {
  return { space: (space) => ({ events: override(space.events, changes(space.events, space)) }) }
}

/** Pages that are changed on their way. */
function pages(change: (page: EventPage) => EventPage): Changes {
  return log((events) => ({
    read: async (options) => (await events.read(options)).map(change),
  }))
}

/** Members of subscriptions that behave otherwise. */
function member(
  changes: (member: EventSubscription, options: { readonly leaseMs: number }) => Partial<EventSubscription>,
): Changes {
  return log((events) => ({
    async subscribe(options) {
      const sound = await events.subscribe(options)
      return override(sound, changes(sound, options))
    },
  }))
}

export const events: readonly Mutant[] = [
  {
    name: 'keeps events as text',
    caught: ['keeps events byte for byte, for everybody, any number of times'],
    changes: () => ({
      session: (session) => ({
        commit: (commit) =>
          session.commit({
            ...commit,
            sends: commit.sends.map((send) => (isEvent(send) ? { ...send, body: asText(send.body) } : send)),
          }),
      }),
    }),
  },
  {
    name: 'reads events once',
    caught: [
      'keeps events byte for byte, for everybody, any number of times',
      'goes on after a position, on any connection',
    ],
    changes() {
      const seen = new Set<string>()
      return pages((page) => ({
        ...page,
        events: page.events.filter(({ position }) => {
          const key = `${page.partition} ${position}`
          return !seen.has(key) && seen.add(key)
        }),
      }))
    },
  },
  {
    name: 'reads the newest event first',
    caught: ['reads events in the order of their commits, page by page'],
    changes: () => pages((page) => ({ ...page, events: [...page.events].reverse() })),
  },
  {
    name: 'reads as many events as there are',
    caught: [
      'reads events in the order of their commits, page by page',
      'reads several logs at once, and no more than was asked for',
    ],
    changes: () => log((events) => ({ read: (options) => events.read({ ...options, max: 1000 }) })),
  },
  {
    name: 'keeps the events of a commit before the commit',
    caught: ['keeps no event of a commit that failed'],
    changes: () => ({
      session: (session, space) => ({
        async commit(commit) {
          await space.send(commit.sends.filter(isEvent))
          await session.commit({ ...commit, sends: commit.sends.filter((send) => !isEvent(send)) })
        },
      }),
    }),
  },
  {
    name: 'reads events from the beginning, wherever it is told to',
    caught: ['goes on after a position, on any connection', 'knows where a log ends', 'finds the place of a time'],
    changes: () =>
      log((events) => ({
        read: (options) =>
          events.read({ ...options, after: new Map([...options.after.keys()].map((key) => [key, undefined])) }),
      })),
  },
  {
    name: 'reads the first log over and over',
    caught: ['reads several logs at once, and no more than was asked for'],
    changes: () =>
      log((events) => ({
        read: (options) => events.read({ ...options, after: new Map([...options.after].slice(0, 1)) }),
      })),
  },
  {
    name: 'takes the beginning of a log for its end',
    caught: ['knows where a log ends'],
    changes: () => log((events) => ({ positions: (since) => events.positions(since ?? 0) })),
  },
  {
    name: 'takes every time for now',
    caught: ['finds the place of a time'],
    changes: () => log((events) => ({ positions: () => events.positions() })),
  },
  {
    name: 'looks for events only when a wait is over',
    caught: ['wakes a read of events that waits'],
    changes: () =>
      log((events) => ({
        async read(options) {
          const found = await events.read({ ...options, waitMs: 0 })
          if (found.length > 0 || options.waitMs === 0) return found
          await pause(options.waitMs)
          return events.read({ ...options, waitMs: 0 })
        },
      })),
  },
  {
    name: 'waits for events whoever cancels',
    caught: ['ends a read of events that finds nothing, or is cancelled'],
    changes: () => log((events) => ({ read: ({ signal: _, ...options }) => events.read(options) })),
  },
  {
    name: 'never ends a read of events that finds nothing',
    caught: ['ends a read of events that finds nothing, or is cancelled'],
    changes: () =>
      log((events) => ({
        async read(options) {
          const found = await events.read(options)
          return found.length > 0 ? found : never()
        },
      })),
  },
  {
    name: 'keeps the last hundred events',
    caught: ['keeps as many events as retention asks for'],
    changes: () => ({
      transport: (transport) => ({
        open: (options) => transport.open({ ...options, retention: { maxBytes: 100_000 } }),
      }),
    }),
  },
  {
    name: 'says nothing of what retention has dropped',
    caught: ['says where retention has dropped something'],
    changes: () => pages((page) => ({ ...page, gap: false })),
  },
  {
    name: 'says nothing to a subscription of what retention has dropped',
    caught: ['says where retention has dropped something'],
    changes: () =>
      member((sound) => ({
        async receive(options) {
          const page = await sound.receive(options)
          return page && { ...page, gap: false }
        },
      })),
  },
  {
    name: 'drops nothing for its age',
    caught: ['drops events that are too old'],
    changes: () => ({
      transport: (transport) => ({
        open: (options) => transport.open({ ...options, retention: { ...options.retention, maxAgeMs: 3_600_000 } }),
      }),
    }),
  },
  {
    name: 'loses its events in a restart',
    caught: ['keeps events while the broker is restarted'],
    changes() {
      let restarted = false
      return {
        restart: () => void (restarted = true),
        ...log((events) => ({
          read: async (options) => (restarted ? never() : events.read(options)),
        })),
      }
    },
  },

  // ---- Subscriptions
  {
    name: 'gives every event to every member',
    caught: [
      'shares the events of a subscription among its members, in order',
      'holds a page for one member until it is settled',
    ],
    changes() {
      let members = 0
      return log((events) => ({
        subscribe: (options) => events.subscribe({ ...options, name: `${options.name} ${++members}` }),
      }))
    },
  },
  {
    name: 'settles an event by handing it out',
    caught: [
      'hands out again what was not settled, once its lease has run out',
      'hands out again what a member held that is gone',
      'lets go of what a member holds when it closes',
    ],
    changes: () =>
      member((sound) => ({
        async receive(options) {
          const page = await sound.receive(options)
          if (page !== undefined) await sound.settle(page)
          return page
        },
      })),
  },
  {
    name: 'takes settlements of those who have lost the page',
    caught: ['hands out again what was not settled, once its lease has run out'],
    changes() {
      const last = new Map<number, [EventSubscription, HeldPage]>()
      return member((sound) => ({
        async receive(options) {
          const page = await sound.receive(options)
          if (page !== undefined) last.set(page.partition, [sound, page])
          return page
        },
        async settle(page) {
          const [holder, held] = last.get(page.partition)!
          await holder.settle(held)
        },
      }))
    },
  },
  {
    name: 'extends no page',
    caught: ['holds a page that is extended'],
    changes: () => member(() => ({ extend: async () => {} })),
  },
  {
    name: 'keeps what a closed member held until the lease runs out',
    caught: ['lets go of what a member holds when it closes'],
    changes: () => member(() => ({ close: async () => {} })),
  },
  {
    name: 'remembers no subscription that has no members',
    caught: ['goes on where the subscription was, when nobody has been there'],
    changes: () => ({
      ...log((events) => ({
        async subscribe(options) {
          const sound = await events.subscribe(options)
          return override(sound, {
            async close() {
              await sound.close()
              await events.forget(options.name)
            },
          })
        },
      })),
    }),
  },
  {
    name: 'begins every subscription at the beginning',
    caught: ['begins a new subscription where it was told to, and a known one where it is'],
    changes: () =>
      log((events) => ({
        subscribe: (options) => events.subscribe({ ...options, from: options.from.map(() => undefined) }),
      })),
  },
  {
    name: 'forgets no subscription',
    caught: ['begins a new subscription where it was told to, and a known one where it is'],
    changes: () => log(() => ({ forget: async () => {} })),
  },
  {
    name: 'has one subscription for all names',
    caught: ['keeps subscriptions apart'],
    changes: () => log((events) => ({ subscribe: (options) => events.subscribe({ ...options, name: 'all' }) })),
  },
]
