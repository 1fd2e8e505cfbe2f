// Workers and clients of one namespace, each on a connection of its own to one store in memory, as processes would be. All of them are closed
// when the test ends.
import { onTestFinished } from 'vitest'
import { createClient, type Client, type ClientOptions } from '../../src/client/client'
import type { Clock } from '../../src/clock'
import {
  memoryStore,
  memoryTransport,
  type MemoryStore,
  type MemoryTransport,
  type MemoryTransportOptions,
} from '../../src/memory'
import type { RowKey, Transport } from '../../src/transport'
import { createTasks, type Tasks, type TasksOptions } from '../../src/tasks'
import { silentLogger } from '../../src/testing/silent-logger'
import type { WorkerOptions } from '../../src/worker/settings'
import { startWorker, type Worker } from '../../src/worker/worker'

/** Enough for whatever should happen, on a machine that is busy with something else. */
export const PATIENCE_MS = 30_000

export interface RunningWorker extends Worker {
  readonly transport: MemoryTransport
}

export interface System {
  readonly store: MemoryStore
  readonly tasks: Tasks
  connect(options?: MemoryTransportOptions): MemoryTransport
  worker(options?: Partial<WorkerOptions>, transport?: MemoryTransport): Promise<RunningWorker>
  client(options?: Partial<ClientOptions>, transport?: MemoryTransport): Client
  /** Committed rows of all partitions whose key starts like this. */
  rows(prefix: string): Promise<RowKey[]>
  blobs(): Promise<string[]>
}

export const NAMESPACE = 'test'

/** Where tests do not say it: `TASKS_LANE=queue` gives workers no lane of their own, `mixed` gives one to every other worker of a system. */
const hasLane = (index: number): boolean => {
  const lane = process.env['TASKS_LANE']
  return lane === 'mixed' ? index % 2 === 0 : lane !== 'queue'
}

export interface SystemOptions {
  readonly transport?: MemoryTransportOptions
  readonly tasks?: Omit<TasksOptions, 'namespace'>
  /** Of the store, the workers and the clients. Default: the machine's. */
  readonly clock?: Clock
}

export function system(options: SystemOptions = {}): System {
  const { clock } = options
  const timed = clock === undefined ? {} : { clock }
  const store = memoryStore(timed)
  const tasks = createTasks({ namespace: NAMESPACE, ...options.tasks })
  const connect = (more: MemoryTransportOptions = {}): MemoryTransport =>
    memoryTransport({ ...options.transport, ...more, store })
  let workers = 0
  const look = connect().open({ namespace: NAMESPACE, provision: 'create', partitions: 4 })
  return {
    store,
    tasks,
    connect,
    async worker(given = {}, transport = connect()) {
      const worker = await startWorker({
        tasks,
        transport,
        logger: silentLogger,
        leaseMs: 2_000,
        localLane: hasLane(workers++),
        ...timed,
        ...given,
      })
      onTestFinished(async () => {
        await worker.close({ drainMs: 0 })
        await transport.close()
      })
      return Object.assign(worker, { transport })
    },
    client(given = {}, transport = connect()) {
      const client = createClient({ namespace: NAMESPACE, transport, logger: silentLogger, ...timed, ...given })
      onTestFinished(async () => {
        await client.close()
        await transport.close()
      })
      return client
    },
    async rows(prefix) {
      await look
      const { partitions } = store.namespaces.get(NAMESPACE)!
      return partitions.flatMap((partition) => partition.rows.keys().filter((key) => key.startsWith(prefix))).sort()
    },
    blobs: async () => (await (await look).blobs.list({ limit: 100_000 })).map(({ key }) => key),
  }
}

/** Of which nobody but owners can read the rows. */
export function ownersOnly(transport: MemoryTransport): MemoryTransport {
  const open: Transport['open'] = async (options) =>
    new Proxy(await transport.open(options), {
      get(space, key) {
        if (key === 'reader') return undefined
        const value: unknown = Reflect.get(space, key, space)
        return typeof value === 'function' ? (value.bind(space) as unknown) : value
      },
    })
  return Object.assign(Object.create(transport) as MemoryTransport, { open, close: () => transport.close() })
}

/** Asks again and again until `attempt` does not throw. */
export async function eventually<T>(attempt: () => T | Promise<T>, ms = PATIENCE_MS): Promise<T> {
  const until = performance.now() + ms
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > until) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
