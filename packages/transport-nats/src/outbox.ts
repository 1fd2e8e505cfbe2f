// Sends, as messages of the server. What goes to one inbox or event log shares a message: a position names a place in it. Tasks have one each, so that they spread over workers; but where
// one call has very many for a queue, they share some dozens.
import type { DeadLetter, DeadLetterInfo, Send, SendOutcome } from '@tasks/core'
import type { TaskError } from '@tasks/core/adapter'
import type { Broadcasts } from './broadcasts'
import { isCertain, isClosed } from './failure'
import { encodeFrame } from './frame'
import type { JetStream, Stored } from './jetstream'
import { MAX_LETTER_BYTES, PRIORITIES } from './limits'
import type { Level, Names } from './names'

/** What goes as one message. */
export interface Parcel {
  readonly subject: string
  readonly data: Uint8Array
  /** Which of the sends are in it. */
  readonly sends: readonly number[]
  /** Of a reply: nobody keeps it. */
  readonly address?: string
  /** What was sent before to the same subject has to be there first. */
  readonly isOrdered: boolean
}

/** What shares a message is read, and consumed, together. */
export const SHARED_BYTES = 64 * 1024
/** So many tasks of one call for one queue share messages: about as many as this, so that no worker gets most of them, of at most so many tasks. */
const MANY = 64
const MANY_MESSAGES = 32
const MOST_IN_ONE = 64
const ADDRESS = /^[0-9A-Za-z]+\.[0-9a-z]+$/

export class Outbox {
  readonly #jetstream: JetStream
  readonly #names: Names
  readonly #broadcasts: Broadcasts

  constructor(jetstream: JetStream, names: Names, broadcasts: Broadcasts) {
    this.#jetstream = jetstream
    this.#names = names
    this.#broadcasts = broadcasts
  }

  /** For sends that were checked. */
  pack(sends: readonly Send[]): Parcel[] {
    const parcels: Parcel[] = []
    const tasks = countTasks(sends)
    const shared = new Map<string, { frames: Buffer[]; sends: number[]; bytes: number; isOrdered: boolean }>()
    const close = (subject: string): void => {
      const open = shared.get(subject)
      if (open === undefined) return
      const { frames, sends: of, bytes, isOrdered } = open
      const data = frames.length === 1 ? frames[0]! : Buffer.concat(frames, bytes)
      parcels.push({ subject, data, sends: of, isOrdered })
      shared.delete(subject)
    }
    const share = (subject: string, frame: Buffer, i: number, isOrdered: boolean, most = Infinity): void => {
      let open = shared.get(subject)
      if (open !== undefined && (open.bytes + frame.length > SHARED_BYTES || open.frames.length === most)) {
        close(subject)
        open = undefined
      }
      if (open === undefined) shared.set(subject, { frames: [frame], sends: [i], bytes: frame.length, isOrdered })
      else {
        open.frames.push(frame)
        open.sends.push(i)
        open.bytes += frame.length
      }
    }
    const alone = { isOrdered: false } as const
    sends.forEach(({ target, id, body }, i) => {
      switch (target.to) {
        case 'task': {
          const level = levelOf(target.priority)
          const count = level === 0 ? tasks.get(target.queue)! : 0
          const { subject } = this.#names.queue(target.queue, count < MANY ? level : 'many')
          if (count < MANY) parcels.push({ ...alone, subject, data: encodeFrame(id, body), sends: [i] })
          else share(subject, encodeFrame(id, body), i, false, Math.min(MOST_IN_ONE, Math.ceil(count / MANY_MESSAGES)))
          break
        }
        case 'inbox':
          share(this.#names.inbox(target.partition), encodeFrame(id, body), i, false)
          break
        case 'events':
          share(this.#names.events(target.partition), encodeFrame(id, body), i, true)
          break
        case 'reply':
          if (ADDRESS.test(target.address))
            parcels.push({ ...alone, subject: '', data: body, sends: [i], address: target.address })
          break
        case 'dead':
          parcels.push({ ...alone, subject: this.#names.dead, data: encodeLetter(target.letter, body), sends: [i] })
          break
      }
    })
    for (const subject of shared.keys()) close(subject)
    return parcels
  }

  /** Stored when it resolves. @throws TaskError as `Connection.call` */
  async post({ subject, data, address }: Parcel): Promise<void> {
    const { connection } = this.#jetstream
    if (address !== undefined) this.#broadcasts.reply(address, data)
    else await connection.insist(subject, false, () => this.#jetstream.store(subject, data))
  }

  /** All of them at once; what became of each. */
  async send(sends: readonly Send[]): Promise<SendOutcome[]> {
    const outcomes: SendOutcome[] = sends.map(() => ({ ok: true }))
    await Promise.all(
      this.pack(sends).map(async (parcel) => {
        try {
          await this.post(parcel)
        } catch (error) {
          if (isClosed(error)) throw error
          for (const i of parcel.sends)
            outcomes[i] = { ok: false, certain: isCertain(error), error: error as TaskError }
        }
      }),
    )
    return outcomes
  }

  /** All or an error: some of them may have been made. */
  async sendAll(sends: readonly Send[]): Promise<void> {
    if (sends.length === 0) return
    for (const outcome of await this.send(sends)) if (!outcome.ok) throw outcome.error
  }
}

/** Of those that may share messages: how many there are for each queue. */
function countTasks(sends: readonly Send[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { target } of sends)
    if (target.to === 'task' && levelOf(target.priority) === 0)
      counts.set(target.queue, (counts.get(target.queue) ?? 0) + 1)
  return counts
}

function levelOf(priority = 0): Level {
  return Math.min(PRIORITIES - 1, Math.max(0, Math.trunc(priority))) as Level
}

/** 4 bytes: the length of what is said of it, in JSON; then the body. */
export function encodeLetter(info: DeadLetterInfo, body: Uint8Array): Buffer {
  let text = Buffer.from(JSON.stringify(info))
  if (text.length > MAX_LETTER_BYTES) {
    // The failure is the only part that grows with what happened.
    const { failure: _, ...rest } = info
    text = Buffer.from(JSON.stringify({ ...rest, message: rest.message.slice(0, 2_000) }))
  }
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text, body])
}

export function decodeLetter({ sequence, at, data }: Stored): DeadLetter {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const bodyAt = 4 + buffer.readUInt32BE(0)
  return {
    id: String(sequence),
    at: Math.floor(at),
    info: JSON.parse(buffer.toString('utf8', 4, bodyAt)) as DeadLetterInfo,
    body: buffer.subarray(bodyAt),
  }
}
