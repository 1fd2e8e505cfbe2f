// How a message is stored: one string that knows its own length, so that many of them can be joined and taken apart again without
// being looked into, by scripts and here.
//
//   4  length of the whole        1  priority        6  when it was sent, ms        2  length of the id        id        body
import type { Bytes } from '@tasks/core'

export const HEAD_BYTES = 13

export interface Message {
  readonly id: string
  readonly body: Bytes
}

export function encodeFrame(id: string, body: Bytes, sentAt: number, priority: number): Buffer {
  const idBytes = Buffer.byteLength(id)
  const frame = Buffer.allocUnsafe(HEAD_BYTES + idBytes + body.byteLength)
  frame.writeUInt32BE(frame.length, 0)
  frame[4] = priority
  frame.writeUIntBE(sentAt, 5, 6)
  frame.writeUInt16BE(idBytes, 11)
  frame.write(id, HEAD_BYTES)
  frame.set(body, HEAD_BYTES + idBytes)
  return frame
}

/** The length of the frame that starts at `offset`. */
export function frameLength(buffer: Buffer, offset: number): number {
  return buffer.readUInt32BE(offset)
}

/** The message of the frame that starts at `offset`; its body is a part of the buffer. */
export function decodeFrame(buffer: Buffer, offset: number): Message {
  const bodyAt = offset + HEAD_BYTES + buffer.readUInt16BE(offset + 11)
  return {
    id: buffer.toString('utf8', offset + HEAD_BYTES, bodyAt),
    body: buffer.subarray(bodyAt, offset + frameLength(buffer, offset)),
  }
}

/** Takes joined frames apart. */
export function decodeFrames(buffer: Buffer, from = 0): Message[] {
  const messages: Message[] = []
  for (let offset = from; offset < buffer.length; offset += frameLength(buffer, offset))
    messages.push(decodeFrame(buffer, offset))
  return messages
}
