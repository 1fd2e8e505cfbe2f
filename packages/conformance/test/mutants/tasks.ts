import type { Lease, Send, Settlement } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import { pause } from '../../src/patience'
import type { Mutant } from './broken'
import { asText, isCode, never, withLease } from './broken'

const isTask = (send: Send): boolean => send.target.to === 'task'

/** The last lease that anybody got for each message. */
function latest(): { readonly note: (batch: readonly Lease[]) => void; readonly of: (lease: Lease) => Lease } {
  const leases = new Map<string, Lease>()
  return {
    note(batch) {
      for (const lease of batch) leases.set(lease.id, lease)
    },
    of: (lease) => leases.get(lease.id) ?? lease,
  }
}

export const tasks: readonly Mutant[] = [
  {
    name: 'loses a task of every large batch',
    caught: ['hands each task to one of the consumers that compete, and misses none'],
    changes: () => ({
      consumer: (consumer) => ({
        async receive(options) {
          const batch = await consumer.receive(options)
          return batch.length > 5 ? batch.slice(1) : batch
        },
      }),
    }),
  },
  {
    name: 'stores every task twice',
    caught: ['hands each task to one of the consumers that compete, and misses none'],
    changes: () => ({
      space: (space) => ({
        async send(batch) {
          await space.send(batch.filter(isTask))
          return space.send(batch)
        },
      }),
    }),
  },
  {
    name: 'loses tasks for queues that nobody consumes',
    caught: ['keeps tasks until somebody consumes their queue'],
    changes() {
      const consumed = new Set<string>()
      return {
        space: (space) => ({
          consume(options) {
            for (const queue of options.queues) consumed.add(queue)
            return space.consume(options)
          },
          async send(batch) {
            await space.send(batch.filter(({ target }) => target.to !== 'task' || consumed.has(target.queue)))
            return batch.map(() => ({ ok: true }))
          },
        }),
      }
    },
  },
  {
    name: 'hands out bodies as text',
    caught: ['hands out ids, queues and bodies as they were sent'],
    changes: () => ({
      consumer: (consumer) => ({
        receive: async (options) =>
          (await consumer.receive(options)).map((lease) => withLease(lease, { body: asText(lease.body) })),
      }),
    }),
  },
  {
    name: 'receives from the first queue only',
    caught: ['receives from several queues at once, and from no other'],
    changes: () => ({
      space: (space) => ({ consume: (options) => space.consume({ ...options, queues: options.queues.slice(0, 1) }) }),
    }),
  },
  {
    name: 'receives from other queues, too',
    caught: ['receives from several queues at once, and from no other'],
    changes: () => ({
      space: (space) => ({ consume: (options) => space.consume({ ...options, queues: [...options.queues, 'c'] }) }),
    }),
  },
  {
    name: 'receives as much as there is',
    caught: ['receives no more than was asked for'],
    changes: () => ({
      consumer: (consumer) => ({ receive: (options) => consumer.receive({ ...options, max: 1000 }) }),
    }),
  },
  {
    name: 'knows no priorities',
    caught: ['hands out higher priorities first, and takes any number for one'],
    changes: () => ({
      space: (space) => ({
        send: (batch) =>
          space.send(
            batch.map((send) =>
              send.target.to === 'task' ? { ...send, target: { to: 'task', queue: send.target.queue } } : send,
            ),
          ),
      }),
    }),
  },
  {
    name: 'refuses priorities that it has no level for',
    caught: ['hands out higher priorities first, and takes any number for one'],
    changes: () => ({
      space: (space) => ({
        send(batch) {
          if (batch.some(({ target }) => target.to === 'task' && (target.priority ?? 0) > 9))
            throw new TaskError('TASKS_OPTIONS', 'no such level')
          return space.send(batch)
        },
      }),
    }),
  },
  {
    name: 'looks for tasks only when a wait is over',
    caught: ['wakes a receive that waits'],
    changes: () => ({
      consumer: (consumer) => ({
        async receive(options) {
          const batch = await consumer.receive({ ...options, waitMs: 0 })
          if (batch.length > 0) return batch
          await pause(options.waitMs)
          return consumer.receive({ ...options, waitMs: 0 })
        },
      }),
    }),
  },
  {
    name: 'hands out what others hold',
    caught: ['hands out nothing that somebody holds'],
    changes: () => ({
      consumer: (consumer, _, space) => ({
        async receive(options) {
          const batch = await consumer.receive(options)
          await space.send(batch.map(({ id, queue, body }) => ({ target: { to: 'task', queue }, id, body })))
          return batch
        },
      }),
    }),
  },
  {
    name: 'has leases that never run out',
    caught: [
      'hands out a task again as a suspect when its lease ran out',
      'brings back what a closed consumer held, when the lease runs out',
      'brings back what a dead process held, when the lease runs out',
    ],
    changes: () => ({ space: (space) => ({ consume: (options) => space.consume({ ...options, leaseMs: 1e9 }) }) }),
  },
  {
    name: 'does not tell a suspect from a new task',
    caught: ['hands out a task again as a suspect when its lease ran out'],
    changes: () => ({
      consumer: (consumer) => ({
        receive: async (options) =>
          (await consumer.receive(options)).map((lease) => withLease(lease, { deliveries: 1 })),
      }),
    }),
  },
  {
    name: 'hands out all suspects at once',
    caught: ['hands out at most one suspect at a time'],
    changes: () => ({
      consumer: (consumer) => ({
        async receive(options) {
          const batch = [...(await consumer.receive(options))]
          for (let more = batch; more.length > 0 && batch.length < options.max;) {
            more = [...(await consumer.receive({ ...options, waitMs: 0, max: options.max - batch.length }))]
            batch.push(...more)
          }
          return batch
        },
      }),
    }),
  },
  {
    name: 'hands out suspects to everybody',
    caught: ['hands out no suspect to those who want none'],
    changes: () => ({
      consumer: (consumer) => ({ receive: (options) => consumer.receive({ ...options, suspects: true }) }),
    }),
  },
  {
    name: 'extends nothing',
    caught: ['keeps a lease that is extended'],
    changes: () => ({ consumer: () => ({ extend: async () => {} }) }),
  },
  {
    name: 'acknowledges nothing',
    caught: ['never hands out again what was acknowledged'],
    changes: () => ({
      consumer: (consumer) => ({
        settle: (settlements, sends) =>
          consumer.settle(
            settlements.filter(({ op }) => op !== 'ack'),
            sends,
          ),
      }),
    }),
  },
  {
    name: 'counts what was returned',
    caught: ['hands out at once, and uncounted, what was returned', 'hands out again what was returned for later'],
    changes() {
      const returned = new Map<string, number>()
      return {
        consumer: (consumer) => ({
          receive: async (options) =>
            (await consumer.receive(options)).map((lease) =>
              withLease(lease, { deliveries: lease.deliveries + (returned.get(lease.id) ?? 0) }),
            ),
          async settle(settlements, sends) {
            for (const { op, lease } of settlements)
              if (op === 'return') returned.set(lease.id, (returned.get(lease.id) ?? 0) + 1)
            await consumer.settle(settlements, sends)
          },
        }),
      }
    },
  },
  {
    name: 'loses what was returned for later',
    caught: ['hands out again what was returned for later'],
    changes: () => ({
      consumer: (consumer) => ({
        settle: (settlements, sends) =>
          consumer.settle(
            settlements.map((settlement): Settlement =>
              settlement.op === 'return' && settlement.delayMs > 0
                ? { lease: settlement.lease, op: 'ack' }
                : settlement,
            ),
            sends,
          ),
      }),
    }),
  },
  {
    name: 'settles by id, whoever holds the task',
    caught: ['ignores the settlement of a stale lease, and makes its sends'],
    changes() {
      const leases = latest()
      return {
        consumer: (consumer) => ({
          async receive(options) {
            const batch = await consumer.receive(options)
            leases.note(batch)
            return batch
          },
          settle: (settlements, sends) =>
            consumer.settle(
              settlements.map((settlement) => ({ ...settlement, lease: leases.of(settlement.lease) })),
              sends,
            ),
        }),
      }
    },
  },
  {
    name: 'drops the sends of a stale settlement',
    caught: ['ignores the settlement of a stale lease, and makes its sends'],
    changes() {
      const leases = latest()
      return {
        consumer: (consumer) => ({
          async receive(options) {
            const batch = await consumer.receive(options)
            leases.note(batch)
            return batch
          },
          settle: (settlements, sends) =>
            consumer.settle(settlements, settlements.some(({ lease }) => leases.of(lease) !== lease) ? [] : sends),
        }),
      }
    },
  },
  {
    name: 'throws when something is settled again',
    caught: ['takes a settlement twice'],
    changes() {
      const settled = new Set<Lease>()
      return {
        consumer: (consumer) => ({
          async settle(settlements, sends) {
            for (const { lease } of settlements)
              if (settled.has(lease)) throw new TaskError('TASKS_ARGUMENTS', 'settled before')
            for (const { lease } of settlements) settled.add(lease)
            await consumer.settle(settlements, sends)
          },
        }),
      }
    },
  },
  {
    name: 'makes the sends of a settlement some time later',
    caught: ['makes the sends of a settlement'],
    changes: () => ({
      consumer: (consumer, _, space) => ({
        async settle(settlements, sends) {
          await consumer.settle(settlements, [])
          void pause(20)
            .then(() => space.send(sends))
            .catch(() => {})
        },
      }),
    }),
  },
  {
    name: 'throws dead letters away',
    caught: ['moves a task to the dead letters'],
    changes: () => ({
      consumer: (consumer) => ({
        settle: (settlements, sends) =>
          consumer.settle(
            settlements.map(({ lease, ...settlement }): Settlement =>
              settlement.op === 'dead' ? { lease, op: 'ack' } : { lease, ...settlement },
            ),
            sends,
          ),
      }),
    }),
  },
  {
    name: 'acknowledges what a consumer holds when it is closed',
    caught: ['brings back what a closed consumer held, when the lease runs out'],
    changes: () => ({
      consumer(consumer) {
        const held: Lease[] = []
        return {
          async receive(options) {
            const batch = await consumer.receive(options)
            held.push(...batch)
            return batch
          },
          async close() {
            await consumer.settle(
              held.map((lease) => ({ lease, op: 'ack' })),
              [],
            )
            await consumer.close()
          },
        }
      },
    }),
  },
  {
    name: 'delivers at most once',
    caught: [
      'brings back what a dead process held, when the lease runs out',
      'hands out a task again as a suspect when its lease ran out',
    ],
    changes: () => ({
      consumer: (consumer) => ({
        async receive(options) {
          const batch = await consumer.receive(options)
          await consumer.settle(
            batch.map((lease) => ({ lease, op: 'ack' })),
            [],
          )
          return batch
        },
      }),
    }),
  },
  {
    name: 'has no idea of its backlog',
    caught: ['tells the age of the oldest task that nobody holds'],
    changes: () => ({ space: () => ({ backlog: async () => undefined }) }),
  },
  {
    name: 'counts what is held into its backlog',
    caught: ['tells the age of the oldest task that nobody holds'],
    changes: () => ({ space: () => ({ backlog: async () => 1000 }) }),
  },

  // ---- Limits
  {
    name: 'refuses messages of the largest size',
    caught: ['takes messages of the largest size, everywhere'],
    changes: () => ({
      space: (space) => ({
        async send(batch) {
          const outcomes = await space.send(batch)
          const error = new TaskError('TASKS_TOO_LARGE', 'said a mutant')
          return outcomes.map((outcome, i) =>
            batch[i]!.body.byteLength < space.capabilities.maxMessageBytes
              ? outcome
              : { ok: false, certain: true, error },
          )
        },
      }),
    }),
  },
  {
    name: 'cuts messages that are too large',
    caught: ['refuses larger messages in a send, for certain, and stores nothing of them'],
    changes: () => ({
      space: (space) => ({
        send: (batch) =>
          space.send(
            batch.map((send) => ({ ...send, body: send.body.subarray(0, space.capabilities.maxMessageBytes) })),
          ),
      }),
    }),
  },
  {
    name: 'ends a session whose commit was too large',
    caught: ['refuses a commit with a larger message, changes nothing, and goes on'],
    changes: () => ({
      session(session) {
        let over: unknown
        return {
          async commit(commit) {
            if (over !== undefined) throw new TaskError('TASKS_FENCED', 'said a mutant', { cause: over })
            await session.commit(commit).catch((error: unknown) => {
              over = error
              throw error
            })
          },
        }
      },
    }),
  },
  {
    name: 'ignores commits that are too large',
    caught: [
      'takes a commit of the largest size, and refuses a larger one',
      'takes a commit of the most items, and refuses one more',
    ],
    changes: () => ({
      session: (session) => ({
        commit: (commit) =>
          session.commit(commit).catch((error: unknown) => {
            if (!isCode(error, 'TASKS_TOO_LARGE')) throw error
          }),
      }),
    }),
  },
  {
    name: 'acknowledges before it looks at the sends',
    caught: ['settles nothing when a send of the settlement is too large'],
    changes: () => ({
      consumer: (consumer) => ({
        async settle(settlements, sends) {
          await consumer.settle(settlements, [])
          await consumer.settle([], sends)
        },
      }),
    }),
  },
  {
    name: 'cuts pages that are too large',
    caught: ['refuses a larger page of a blob'],
    changes: () => ({
      space: ({ blobs, capabilities }) => ({
        blobs: {
          ...blobs,
          put: (key, page, bytes) => blobs.put(key, page, bytes.subarray(0, capabilities.maxMessageBytes)),
        },
      }),
    }),
  },

  // ---- Waits
  {
    name: 'waits for tasks for ever',
    caught: ['ends a receive that finds nothing, after its wait'],
    changes: () => ({
      consumer: (consumer) => ({
        async receive(options) {
          const batch = await consumer.receive(options)
          return batch.length > 0 ? batch : never()
        },
      }),
    }),
  },
  {
    name: 'waits for inbox messages for ever',
    caught: ['ends a poll that finds nothing, after its wait'],
    changes: () => ({
      session: (session) => ({
        async poll(options) {
          const messages = await session.poll(options)
          return messages.length > 0 ? messages : never()
        },
      }),
    }),
  },
  {
    name: 'does not wait for inbox messages',
    caught: ['waits as long as it was told to', 'wakes a poll that waits'],
    changes: () => ({ session: (session) => ({ poll: (options) => session.poll({ ...options, waitMs: 0 }) }) }),
  },
  {
    name: 'does one thing at a time',
    caught: ['holds up nothing else while it waits'],
    changes: () => ({
      session(session) {
        let last: Promise<unknown> = Promise.resolve()
        const inTurn = <T>(call: () => Promise<T>): Promise<T> => {
          const turn = last.then(call)
          last = turn.catch(() => {})
          return turn
        }
        return {
          poll: (options) => inTurn(() => session.poll(options)),
          commit: (commit) => inTurn(() => session.commit(commit)),
        }
      },
    }),
  },
  {
    name: 'goes on receiving for those who have cancelled',
    caught: ['ends a receive that is cancelled with an empty batch, and loses nothing by it'],
    changes: () => ({
      consumer: (consumer) => ({
        receive: ({ signal, ...options }) => Promise.race([consumer.receive(options), aborted(signal).then(() => [])]),
      }),
    }),
  },
  {
    name: 'goes on polling for those who have cancelled',
    caught: ['ends a poll that is cancelled, and loses nothing by it'],
    changes: () => ({
      session(session) {
        let going: Promise<unknown> = Promise.resolve()
        return {
          poll({ signal, ...options }) {
            const polling = going.then(() => session.poll(options))
            going = polling.catch(() => {})
            return Promise.race([polling, aborted(signal).then(() => [])])
          },
        }
      },
    }),
  },
]

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve()
    signal?.addEventListener('abort', () => resolve(), { once: true })
  })
}
