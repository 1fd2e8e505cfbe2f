// Sends, as messages of the server. What goes to one inbox shares a message: an inbox position names a place in it. Tasks are settled one by one, and have one each.
import type { DeadLetter, DeadLetterInfo, Send, SendOutcome } from '@tasks/core'
import type { TaskError } from '@tasks/core/adapter'
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
  /** Best effort: nobody keeps it. */
  readonly isSaid: boolean
}

/** What shares a message is read, and consumed, together. */
const SHARED_BYTES = 64 * 1024
const ADDRESS = /^[0-9A-Za-z]+\.[0-9a-z]+$/

export class Outbox {
  readonly #jetstream: JetStream
  readonly #names: Names

  constructor(jetstream: JetStream, names: Names) {
    this.#jetstream = jetstream
    this.#names = names
  }

  /** For sends that were checked. */
  pack(sends: readonly Send[]): Parcel[] {
    const parcels: Parcel[] = []
    const inboxes = new Map<number, { frames: Buffer[]; sends: number[]; bytes: number }>()
    const close = (partition: number): void => {
      const open = inboxes.get(partition)
      if (open === undefined) return
      const data = open.frames.length === 1 ? open.frames[0]! : Buffer.concat(open.frames, open.bytes)
      parcels.push({ subject: this.#names.inbox(partition), data, sends: open.sends, isSaid: false })
      inboxes.delete(partition)
    }
    sends.forEach(({ target, id, body }, i) => {
      switch (target.to) {
        case 'task': {
          const { subject } = this.#names.queue(target.queue, levelOf(target.priority))
          parcels.push({ subject, data: encodeFrame(id, body), sends: [i], isSaid: false })
          break
        }
        case 'inbox': {
          const frame = encodeFrame(id, body)
          const { partition } = target
          if ((inboxes.get(partition)?.bytes ?? 0) + frame.length > SHARED_BYTES) close(partition)
          const open = inboxes.get(partition)
          if (open === undefined) inboxes.set(partition, { frames: [frame], sends: [i], bytes: frame.length })
          else {
            open.frames.push(frame)
            open.sends.push(i)
            open.bytes += frame.length
          }
          break
        }
        case 'reply':
          if (ADDRESS.test(target.address))
            parcels.push({ subject: this.#names.reply(target.address), data: body, sends: [i], isSaid: true })
          break
        case 'dead':
          parcels.push({
            subject: this.#names.dead,
            data: encodeLetter(target.letter, body),
            sends: [i],
            isSaid: false,
          })
          break
      }
    })
    for (const partition of inboxes.keys()) close(partition)
    return parcels
  }

  /** Stored when it resolves. @throws TaskError as `Connection.call` */
  async post({ subject, data, isSaid }: Parcel): Promise<void> {
    const { connection } = this.#jetstream
    if (isSaid) connection.say(subject, data)
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

export function levelOf(priority = 0): Level {
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
