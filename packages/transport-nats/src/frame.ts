// A message as it is kept: so that several of them can share one message of the server.
//
//   4  length of the whole frame      1  how often it was handed out and never settled
//   4  how long it is to wait, ms     2  length of the id      id      body
import type { Bytes } from '@tasks/core'

const HEAD_BYTES = 11

export interface Frame {
  readonly id: string
  readonly body: Bytes
  /** How often it was handed out and never settled. */
  readonly deliveries: number
  /** How long nobody should be given it, in ms, from when it was sent. */
  readonly delayMs: number
}

export function frameBytes(id: string, body: Bytes): number {
  return HEAD_BYTES + Buffer.byteLength(id) + body.byteLength
}

export function encodeFrame(id: string, body: Bytes, deliveries = 0, delayMs = 0): Buffer {
  const frame = Buffer.allocUnsafe(frameBytes(id, body))
  frame.writeUInt32BE(frame.length, 0)
  frame[4] = Math.min(deliveries, 255)
  frame.writeUInt32BE(Math.min(Math.max(0, Math.ceil(delayMs)), 0xffff_ffff), 5)
  const bodyAt = HEAD_BYTES + frame.write(id, HEAD_BYTES)
  frame.writeUInt16BE(bodyAt - HEAD_BYTES, 9)
  frame.set(body, bodyAt)
  return frame
}

/** The frames that a message consists of; bodies are parts of it. */
export function decodeFrames(data: Bytes): Frame[] {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const frames: Frame[] = []
  for (let at = 0; at + HEAD_BYTES <= buffer.length;) {
    const end = at + buffer.readUInt32BE(at)
    const bodyAt = at + HEAD_BYTES + buffer.readUInt16BE(at + 9)
    frames.push({
      id: buffer.toString('utf8', at + HEAD_BYTES, bodyAt),
      body: buffer.subarray(bodyAt, end),
      deliveries: buffer[at + 4]!,
      delayMs: buffer.readUInt32BE(at + 5),
    })
    at = end
  }
  return frames
}
