// A message as it is kept: so that several of them can share one message of the server.
//
//   4  length of the whole frame      1  how often it was handed out and never settled
//   4  how long it is to wait, ms     6  when it was sent, ms since the epoch; 0: when the server stored it
//   2  length of the id               id      body
import type { Bytes } from '@tasks/core'

const HEAD_BYTES = 17
const WORD = 2 ** 32

/** What a message carries beside its id and body. */
export interface Handling {
  /** How often it was handed out and never settled. */
  readonly deliveries: number
  /** How long nobody should be given it, in ms, from when it was sent. */
  readonly delayMs: number
  /** Of one that was stored anew: when it was sent, in ms since the epoch; else 0. */
  readonly sentAt: number
}

export interface Frame extends Handling {
  readonly id: string
  readonly body: Bytes
}

export const NEW: Handling = { deliveries: 0, delayMs: 0, sentAt: 0 }

export function encodeFrame(id: string, body: Bytes, { deliveries, delayMs, sentAt }: Handling = NEW): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(id) + body.byteLength)
  frame.writeUInt32BE(frame.length, 0)
  frame[4] = Math.min(deliveries, 255)
  frame.writeUInt32BE(Math.min(Math.max(0, Math.ceil(delayMs)), 0xffff_ffff), 5)
  frame.writeUInt16BE(Math.floor(sentAt / WORD), 9)
  frame.writeUInt32BE(Math.floor(sentAt % WORD), 11)
  const bodyAt = HEAD_BYTES + frame.write(id, HEAD_BYTES)
  frame.writeUInt16BE(bodyAt - HEAD_BYTES, 15)
  frame.set(body, bodyAt)
  return frame
}

/** The frames that a message consists of; bodies are parts of it. What is none is the body of a frame without an id. */
export function decodeFrames(data: Bytes): Frame[] {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const frames: Frame[] = []
  for (let at = 0; at < buffer.length || frames.length === 0;) {
    const isWhole = at + HEAD_BYTES <= buffer.length
    const end = isWhole ? at + buffer.readUInt32BE(at) : 0
    const bodyAt = isWhole ? at + HEAD_BYTES + buffer.readUInt16BE(at + 15) : Infinity
    if (bodyAt > end || end > buffer.length) return [...frames, { ...NEW, id: '', body: buffer.subarray(at) }]
    frames.push({
      id: buffer.toString('utf8', at + HEAD_BYTES, bodyAt),
      body: buffer.subarray(bodyAt, end),
      deliveries: buffer[at + 4]!,
      delayMs: buffer.readUInt32BE(at + 5),
      sentAt: buffer.readUInt16BE(at + 9) * WORD + buffer.readUInt32BE(at + 11),
    })
    at = end
  }
  return frames
}
