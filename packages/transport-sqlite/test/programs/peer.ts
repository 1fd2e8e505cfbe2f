import { openSync, writeSync } from 'node:fs'
import type { Lease, PartitionSession, Send, Space, TaskConsumer } from '@tasks/core'
import { sqliteTransport } from '../../src/index'

const [path] = process.argv.slice(2) as [string]
const transport = sqliteTransport({ path })

let space: Space
let consumer: TaskConsumer
const leases = new Map<string, Lease>()
const sessions = new Map<number, PartitionSession>()
const signals: string[] = []
const replies: string[] = []

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (body: Uint8Array): string => new TextDecoder().decode(body)

/** Everything that a test may ask of this process. */
const calls = {
  async open(namespace: string): Promise<string> {
    space = await transport.open({ namespace })
    space.onSignal((body) => void signals.push(text(body)))
    return transport.capabilities.server
  },

  async send(targets: readonly { target: Send['target']; id: string; body: string }[]): Promise<boolean[]> {
    const outcomes = await space.send(targets.map(({ target, id, body }) => ({ target, id, body: bytes(body) })))
    return outcomes.map(({ ok }) => ok)
  },

  async receive(
    max: number,
    waitMs: number,
    suspects: boolean,
    leaseMs = 60_000,
  ): Promise<{ id: string; deliveries: number }[]> {
    consumer ??= space.consume({ queues: ['q'], leaseMs })
    const batch = await consumer.receive({ max, waitMs, suspects })
    for (const lease of batch) leases.set(lease.id, lease)
    return batch.map(({ id, deliveries }) => ({ id, deliveries }))
  },

  async ack(ids: readonly string[]): Promise<void> {
    await consumer.settle(
      ids.map((id) => ({ lease: leases.get(id)!, op: 'ack' })),
      [],
    )
  },

  /** Receives and settles until there is nothing for a while; answers what it did. */
  async drain(batch: number): Promise<string[]> {
    const done: string[] = []
    for (;;) {
      const got = await calls.receive(batch, 500, false)
      if (got.length === 0) return done
      await calls.ack(got.map(({ id }) => id))
      done.push(...got.map(({ id }) => id))
    }
  },

  /** Takes part in owning until the process ends. */
  own(leaseMs: number): void {
    void space.own({ leaseMs }).run(async (session) => {
      sessions.set(session.partition, session)
      if (!session.lost.aborted) await new Promise((resolve) => session.lost.addEventListener('abort', resolve))
    }, new AbortController().signal)
  },

  owned(): number[] {
    return [...sessions].filter(([, { lost }]) => !lost.aborted).map(([partition]) => partition)
  },

  async commit(partition: number, key: string, value: string): Promise<string> {
    const session = sessions.get(partition)!
    await session.commit({ seq: session.seq + 1, time: 1, rows: new Map([[key, bytes(value)]]), sends: [] })
    return session.claim
  },

  /** The same by a session that is perhaps over; answers how it went. */
  async tryCommit(partition: number, key: string, value: string): Promise<string> {
    return calls.commit(partition, key, value).catch(({ code }: { code: string }) => code)
  },

  async replyAddress(): Promise<string> {
    const { address } = await space.replies((body) => void replies.push(text(body)))
    return address
  },

  async signal(body: string): Promise<void> {
    await space.signal(bytes(body))
  },

  heard(): { signals: readonly string[]; replies: readonly string[] } {
    return { signals, replies }
  },

  /** Sends and commits for as long as it lives, and says of each in a file, after it was answered, that it is stored. */
  async chatter(round: number, file: string): Promise<void> {
    const log = openSync(file, 'w')
    const said = (line: string): void => void writeSync(log, `${line}\n`)
    const sending = async (lane: number): Promise<void> => {
      for (let i = 0; ; i++) {
        const ids = Array.from({ length: 1 + (i % 7) }, (_, j) => `r${round}.l${lane}.${i}.${j}`)
        const outcomes = await space.send(
          ids.map((id, j) => ({
            target: j % 2 ? { to: 'task', queue: 'q' } : { to: 'inbox', partition: j },
            id,
            body: bytes(id),
          })),
        )
        for (const [j, { ok }] of outcomes.entries()) if (ok) said(`send ${ids[j]}`)
      }
    }
    const committing = async (session: PartitionSession): Promise<void> => {
      for (let seq = session.seq + 1; ; seq++) {
        const key = `e${seq % 50}/row`
        await session.commit({
          seq,
          time: seq,
          rows: new Map([[key, bytes(`${seq}`)]]),
          sends: [{ target: { to: 'task', queue: 'q' }, id: `c${session.partition}.${seq}`, body: bytes(key) }],
        })
        said(`commit ${session.partition} ${seq}`)
      }
    }
    for (let lane = 0; lane < 4; lane++) void sending(lane)
    void space.own({ leaseMs: 2000 }).run(committing, new AbortController().signal)
  },

  async close(): Promise<void> {
    await transport.close()
    setImmediate(() => process.disconnect())
  },
}

export type Calls = typeof calls

if (process.send) {
  process.on('message', (request: Request) => void answer(request))
  process.send('ready')
}

interface Request {
  readonly id: number
  readonly name: keyof Calls
  readonly args: never[]
}

async function answer({ id, name, args }: Request): Promise<void> {
  try {
    const value = await (calls[name] as (...args: never[]) => unknown)(...args)
    process.send!({ id, value })
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    process.send!({ id, error: { code, message } })
  }
}
