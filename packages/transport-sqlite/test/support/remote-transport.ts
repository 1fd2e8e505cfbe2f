// Transports that live in processes of their own, one each, and are used from this one. To crash one is to kill its process.
import type {
  Capabilities,
  EventLog,
  HeldPage,
  Lease,
  PartitionSession,
  Space,
  TaskConsumer,
  Transport,
} from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Calls, errorOf, type Port } from './calls'
import { FROM_SOURCE } from './worker-process'

const PROGRAM = fileURLToPath(new URL('../programs/transport.ts', import.meta.url))

/** Makes `sqliteTransport({ path })`, each time in a process that has no other. */
export class RemoteTransports {
  readonly #path: string
  readonly #capabilities: Capabilities
  readonly #all = new Set<Host>()
  readonly #idle: Host[] = []
  readonly #hosts = new WeakMap<Transport, Host>()

  constructor(path: string, capabilities: Capabilities) {
    this.#path = path
    this.#capabilities = capabilities
  }

  async create(): Promise<Transport> {
    const host = this.#idle.pop() ?? this.#start()
    await host.ready
    await host.calls.call('connect', this.#path)
    const transport = host.transport(this.#capabilities, () => this.#idle.push(host))
    this.#hosts.set(transport, host)
    return transport
  }

  async crash(transport: Transport): Promise<void> {
    const host = this.#hosts.get(transport)!
    this.#all.delete(host)
    await host.kill()
  }

  async end(): Promise<void> {
    await Promise.all([...this.#all].map((host) => host.kill()))
  }

  #start(): Host {
    const host = new Host()
    this.#all.add(host)
    return host
  }
}

class Host {
  readonly ready: Promise<void>
  readonly calls: Calls
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #owned = new Map<number, (session: PartitionSession) => Promise<void>>()
  readonly #lost = new Map<number, AbortController>()
  readonly #listeners = new Map<number, (body: Uint8Array) => void>()
  #last = 0

  constructor() {
    this.#child = fork(PROGRAM, [], { execArgv: FROM_SOURCE, serialization: 'advanced' })
    let onReady!: () => void
    this.ready = new Promise((resolve) => (onReady = resolve))
    this.calls = new Calls(this.#child as unknown as Port, {
      ready: () => onReady(),
      owned: (run: number, name: number, facts: Omit<PartitionSession, 'lost' | 'load' | 'scan' | 'poll' | 'commit'>) =>
        this.#owned.get(run)!(this.#session(name, facts)),
      lost: (name: number, reason: Parameters<typeof errorOf>[0]) => this.#lostOf(name).abort(errorOf(reason)),
      replied: (name: number, body: Uint8Array) => this.#listeners.get(name)?.(body),
      signalled: (name: number, body: Uint8Array) => this.#listeners.get(name)?.(body),
    })
    this.#exited = new Promise((resolve) => this.#child.once('exit', () => resolve()))
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
    const error = new TaskError('TASKS_CLOSED', 'the process of this connection was killed')
    this.calls.end(error)
    for (const lost of this.#lost.values()) lost.abort(error)
  }

  transport(capabilities: Capabilities, onClosed: () => void): Transport {
    let closing: Promise<void> | undefined
    const disconnect = async (): Promise<void> => {
      const gone = await this.calls.call('disconnect').then(
        () => false,
        () => true,
      )
      if (!gone) onClosed()
    }
    return {
      name: 'sqlite',
      capabilities,
      open: async (options) => {
        const { id, partitions } = (await this.calls.call('open', options)) as { id: number; partitions: number }
        return this.#space(id, options.namespace, partitions, capabilities)
      },
      close: () => (closing ??= disconnect()),
    }
  }

  #space(id: number, namespace: string, partitions: number, capabilities: Capabilities): Space {
    const { calls } = this
    const on =
      (method: string) =>
      (...args: readonly unknown[]): Promise<never> =>
        calls.call('space', id, method, ...args) as Promise<never>
    return {
      namespace,
      partitions,
      capabilities,
      send: async (batch) => {
        const outcomes = (await on('send')(batch)) as { ok: boolean; error: Parameters<typeof errorOf>[0] }[]
        return outcomes.map((each) => (each.ok ? each : { ...each, error: errorOf(each.error) })) as never
      },
      signal: on('signal'),
      backlog: on('backlog'),
      now: on('now'),
      close: on('close'),
      reader: { load: on('reader.load'), scan: on('reader.scan') },
      events: this.#events(id, on('events.positions'), on('events.forget')),
      dead: { list: on('dead.list'), get: on('dead.get'), redrive: on('dead.redrive'), drop: on('dead.drop') },
      blobs: { put: on('blobs.put'), get: on('blobs.get'), drop: on('blobs.drop'), list: on('blobs.list') },
      consume: (options) => this.#consumer(id, options),
      own: (options) => ({
        run: async (onOwned, signal) => {
          const run = ++this.#last
          this.#owned.set(run, onOwned)
          await calls.call('own', id, run, options, signal)
        },
      }),
      replies: async (onReply) => {
        const name = this.#listen(onReply)
        const address = (await calls.call('replies', id, name)) as string
        return { address, close: () => calls.call('closeReplies', name) as Promise<void> }
      },
      onSignal: (handler) => {
        const name = this.#listen(handler)
        calls.call('onSignal', id, name).catch(() => undefined)
        return () => {
          this.#listeners.delete(name)
          calls.call('offSignal', name).catch(() => undefined)
        }
      },
    }
  }

  #listen(listener: (body: Uint8Array) => void): number {
    this.#listeners.set(++this.#last, listener)
    return this.#last
  }

  #events(space: number, positions: EventLog['positions'], forget: EventLog['forget']): EventLog {
    const { calls } = this
    return {
      retention: { maxAgeMs: 0, maxBytes: 0 },
      positions,
      forget,
      read: ({ signal, ...rest }) => calls.call('readEvents', space, rest, signal) as Promise<never>,
      subscribe: async (options) => {
        const id = (await calls.call('subscribe', space, options)) as number
        return {
          receive: ({ signal, ...rest }) => calls.call('receiveEvents', id, rest, signal) as Promise<HeldPage>,
          settle: (page) => calls.call('settleEvents', id, page) as Promise<void>,
          extend: (page) => calls.call('extendEvents', id, page) as Promise<void>,
          close: () => calls.call('closeEvents', id) as Promise<void>,
        }
      },
    }
  }

  #consumer(space: number, options: Parameters<Space['consume']>[0]): TaskConsumer {
    const { calls } = this
    const id = ++this.#last
    const made = calls.call('consume', space, id, options)
    made.catch(() => undefined)
    return {
      receive: async ({ signal, ...rest }) => {
        await made
        return (await calls.call('receive', id, rest, signal)) as Lease[]
      },
      settle: (settlements, sends) => calls.call('settle', id, settlements, sends) as Promise<void>,
      extend: (leases) => calls.call('extend', id, leases) as Promise<void>,
      close: () => calls.call('closeConsumer', id) as Promise<void>,
    }
  }

  #lostOf(session: number): AbortController {
    const known = this.#lost.get(session) ?? new AbortController()
    this.#lost.set(session, known)
    return known
  }

  #session(
    id: number,
    facts: Pick<PartitionSession, 'partition' | 'claim' | 'epoch' | 'seq' | 'time'>,
  ): PartitionSession {
    const { calls } = this
    return {
      ...facts,
      lost: this.#lostOf(id).signal,
      load: (keys) => calls.call('load', id, keys) as Promise<never>,
      scan: (prefix, after, limit) => calls.call('scan', id, prefix, after, limit) as Promise<never>,
      poll: ({ max, waitMs, signal }) => calls.call('poll', id, max, waitMs, signal) as Promise<never>,
      commit: (commit) => calls.call('commit', id, commit) as Promise<void>,
    }
  }
}
