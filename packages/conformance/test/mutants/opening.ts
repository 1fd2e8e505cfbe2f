import type { OpenOptions, Space } from '@tasks/core'
import { pause } from '../../src/patience'
import type { Mutant } from './broken'

function without<K extends keyof OpenOptions>(options: OpenOptions, key: K): Omit<OpenOptions, K> {
  const { [key]: _, ...rest } = options
  return rest
}

export const opening: readonly Mutant[] = [
  {
    name: 'boasts of a durability that it does not have',
    caught: ['says what it can do, truthfully and whole'],
    changes: () => ({
      transport: ({ capabilities }) => ({ capabilities: { ...capabilities, durability: 'replicated' } }),
    }),
  },
  {
    name: 'takes the number of partitions from whoever asks',
    caught: ['keeps the number of partitions that a namespace was created with'],
    changes: () => ({
      transport: (transport) => ({
        async open(options) {
          const space = await transport.open(options)
          return Object.assign(Object.create(space) as Space, { partitions: options.partitions ?? 16 })
        },
      }),
    }),
  },
  {
    name: 'lets another number of partitions pass',
    caught: ['refuses to open a namespace with another number of partitions'],
    changes: () => ({
      transport: (transport) => ({
        open: (options) =>
          transport.open(options).catch(() => transport.open(without(options, 'partitions') as OpenOptions)),
      }),
    }),
  },
  {
    name: 'creates what it should only verify',
    caught: ['verifies what is there and refuses what is not, without creating it'],
    changes: () => ({
      transport: (transport) => ({ open: (options) => transport.open({ ...options, provision: 'create' }) }),
    }),
  },
  {
    name: 'creates a namespace twice when two open it at once',
    caught: ['opens one namespace for many at the same time'],
    changes() {
      let creating = 0
      return {
        transport: (transport) => ({
          async open(options) {
            creating++
            await pause(2)
            const space = await transport.open({
              ...options,
              namespace: `${options.namespace}${creating > 1 ? creating : ''}`,
            })
            creating--
            return space
          },
        }),
      }
    },
  },
  {
    name: 'resets a namespace that is opened again',
    caught: ['leaves what is in a namespace as it is when it is opened again'],
    changes: () => ({
      transport: (transport) => ({
        async open(options) {
          for (const partition of transport.store.namespaces.get(options.namespace)?.partitions ?? []) partition.seq = 0
          return transport.open(options)
        },
      }),
    }),
  },
  {
    name: 'tells the time in seconds',
    caught: ['tells the time of the store'],
    changes: () => ({ space: (space) => ({ now: async () => Math.floor((await space.now()) / 1000) }) }),
  },
  {
    name: 'sends tasks to every namespace',
    caught: ['keeps the tasks and inboxes of two namespaces apart'],
    changes() {
      const spaces = new Map<string, Space>()
      return {
        space(space) {
          spaces.set(space.namespace, space)
          return {
            async send(batch) {
              const [outcomes] = await Promise.all(
                [space, ...[...spaces.values()].filter((other) => other.namespace !== space.namespace)].map((each) =>
                  each.send(batch),
                ),
              )
              return outcomes!
            },
          }
        },
      }
    },
  },
  {
    name: 'keeps the dead letters and blobs of all namespaces together',
    caught: ['keeps the rows, dead letters and blobs of two namespaces apart'],
    changes() {
      let first: Space | undefined
      return {
        space(space) {
          first ??= space
          return { dead: first.dead, blobs: first.blobs }
        },
      }
    },
  },
  {
    name: 'sends signals to every namespace',
    caught: ['keeps the signals of two namespaces apart'],
    changes() {
      const spaces: Space[] = []
      return {
        space(space) {
          spaces.push(space)
          return { signal: async (body) => void (await Promise.all(spaces.map((each) => each.signal(body)))) }
        },
      }
    },
  },
  {
    name: 'folds the case of names',
    caught: ['takes namespaces, queues and ids with odd characters for what they are'],
    changes: () => ({
      transport: (transport) => ({
        open: (options) => transport.open({ ...options, namespace: options.namespace.toLowerCase() }),
      }),
    }),
  },
]
