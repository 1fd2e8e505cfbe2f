import type { PartitionHost, Space, Transport } from '@tasks/core'
import type { Mutant } from './broken'
import { override } from '../../src/override'
import { isCode, never } from './broken'

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

export const ownership: readonly Mutant[] = [
  {
    name: 'forgets the last partition',
    caught: ['gives every partition to a host that is alone, each once'],
    changes: () => ({
      host: (host) => ({
        run: (onOwned, signal) =>
          host.run((session) => (session.partition === 4 ? untilAborted(session.lost) : onOwned(session)), signal),
      }),
    }),
  },
  {
    name: 'gives everything to the first host',
    caught: ['shares the partitions among hosts'],
    changes() {
      let hosts = 0
      return { host: (host) => (hosts++ === 0 ? host : { run: (_, signal) => untilAborted(signal) }) }
    },
  },
  {
    name: 'leaves what a host that stops had to its lease',
    caught: ['hands over what a host that stops had, without waiting for its lease'],
    changes: () => ({
      host: (host) => ({
        async run(onOwned, signal) {
          const zombie = host.run(async (session) => {
            await onOwned(override(session, { lost: AbortSignal.any([session.lost, signal]) }))
            await untilAborted(session.lost)
          }, new AbortController().signal)
          zombie.catch(() => {})
          await untilAborted(signal)
        },
      }),
    }),
  },
  {
    name: 'leaves what a connection that is closed had to its lease',
    caught: ['hands over what a connection that is closed had, without waiting for its lease'],
    changes: () => ({ transport: (transport) => ({ close: async () => transport.crash() }) }),
  },
  {
    name: 'keeps dead processes in office',
    caught: ['takes over what a dead process had, when its lease has run out'],
    changes: () => ({ space: (space) => ({ own: () => space.own({ leaseMs: 1e9 }) }) }),
  },
  {
    name: 'gives a host each partition once',
    caught: ['releases a partition as soon as its handler has ended, and claims again'],
    changes: () => ({
      host(host) {
        const seen = new Set<number>()
        return {
          run: (onOwned, signal) =>
            host.run((session) => {
              if (seen.has(session.partition)) return untilAborted(session.lost)
              seen.add(session.partition)
              return onOwned(session)
            }, signal),
        }
      },
    }),
  },
  {
    name: 'fails with the first handler that fails',
    caught: ['goes on when a handler rejects'],
    changes: () => ({
      host: (host) => ({
        run: (onOwned, signal) =>
          new Promise((resolve, reject) => {
            const run = host.run((session) => onOwned(session).catch(reject), signal)
            run.then(resolve, reject)
          }),
      }),
    }),
  },
  {
    name: 'ends before its handlers',
    caught: ['tells its sessions when it is to stop, and ends with the last of them'],
    changes: () => ({
      host: (host) => ({ run: (onOwned, signal) => Promise.race([host.run(onOwned, signal), untilAborted(signal)]) }),
    }),
  },
  {
    name: 'does not wait for the handlers of what it gives back',
    caught: ['never gives a host two sessions of a partition at once'],
    changes: () => ({
      host: (host) => ({
        run: (onOwned, signal) =>
          host.run((session) => Promise.race([onOwned(session), untilAborted(session.lost)]), signal),
      }),
    }),
  },

  // ---- Closing
  {
    name: 'throws when it is closed again',
    caught: ['closes twice'],
    changes: () => ({
      transport(transport) {
        let closed = false
        return {
          async close() {
            if (closed) throw new Error('closed already')
            closed = true
            await transport.close()
          },
        }
      },
    }),
  },
  {
    name: 'leaves waits alone when it is closed',
    caught: ['ends what waits when it is closed'],
    changes: () => ({
      consumer: (consumer) => ({
        receive: (options) =>
          consumer.receive(options).catch((error: unknown) => {
            if (isCode(error, 'TASKS_CLOSED')) return never()
            throw error
          }),
      }),
    }),
  },
  {
    name: 'goes on receiving for a consumer that is closed',
    caught: ['ends the receive of a consumer that is closed, and leaves the others'],
    changes: () => ({ consumer: () => ({ close: async () => {} }) }),
  },
  {
    name: 'waits for its handlers when it is closed',
    caught: ['closes while a handler is stuck'],
    changes() {
      const runs: Promise<void>[] = []
      return {
        host: (host): PartitionHost => ({
          run(onOwned, signal) {
            const run = host.run(onOwned, signal)
            runs.push(run.catch(() => {}))
            return run
          },
        }),
        transport: (transport) => ({
          async close() {
            await Promise.all(runs)
            await transport.close()
          },
        }),
      }
    },
  },
  {
    name: 'says ok to a send after it was closed',
    caught: ['refuses every call after it was closed'],
    changes: () => ({
      space: (space) => ({ send: (batch) => space.send(batch).catch(() => batch.map(() => ({ ok: true }))) }),
    }),
  },
  {
    name: 'reads nothing from blobs after it was closed',
    caught: ['refuses every call after it was closed'],
    changes: () => ({
      space: ({ blobs }: Space) => ({
        blobs: { ...blobs, get: (key, page) => blobs.get(key, page).catch(() => undefined) },
      }),
    }),
  },
  {
    name: 'closes the connection with a space',
    caught: ['closes one space and leaves the others'],
    changes: () => ({ space: (_, transport) => ({ close: () => transport.close() }) }),
  },
  {
    name: 'closes all connections with one',
    caught: ['closes one connection and leaves the others'],
    changes() {
      const all: Transport[] = []
      return {
        transport(transport) {
          all.push(transport)
          return { close: async () => void (await Promise.all(all.map((each) => each.close()))) }
        },
      }
    },
  },
]
