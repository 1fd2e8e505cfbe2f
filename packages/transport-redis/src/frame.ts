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

/** A bundle is a count of two bytes, then so many frames: what waits in a queue, so that a script that hands out a hundred does not look into each. */
const BUNDLE_HEAD_BYTES = 2
/** Two of them fit a node of Redis' list. */
const MOST_BUNDLE_BYTES = 4000

export function encodeFrame({ id, body }: Message, sentAt: number, priority: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(id) + body.byteLength)
  writeFrame(frame, 0, id, body, sentAt, priority)
  return frame
}

/** The messages in as few bundles as may be, in their order. */
export function encodeBundles(messages: readonly Message[], sentAt: number): Buffer[] {
  const bundles: Buffer[] = []
  for (let from = 0; from < messages.length;) {
    let bytes = BUNDLE_HEAD_BYTES
    let to = from
    while (to < messages.length) {
      const { id, body } = messages[to]!
      const more = HEAD_BYTES + Buffer.byteLength(id) + body.byteLength
      if (to > from && bytes + more > MOST_BUNDLE_BYTES) break
      bytes += more
      to++
    }
    const bundle = Buffer.allocUnsafe(bytes)
    let at = bundle.writeUInt16BE(to - from, 0)
    for (; from < to; from++) at = writeFrame(bundle, at, messages[from]!.id, messages[from]!.body, sentAt, 0)
    bundles.push(bundle)
  }
  return bundles
}

/** Returns where it ends. */
function writeFrame(buffer: Buffer, from: number, id: string, body: Bytes, sentAt: number, priority: number): number {
  const idBytes = buffer.write(id, from + HEAD_BYTES)
  const bodyAt = from + HEAD_BYTES + idBytes
  const end = bodyAt + body.byteLength
  buffer.writeUInt32BE(end - from, from)
  buffer[from + 4] = priority
  buffer.writeUIntBE(sentAt, from + 5, 6)
  buffer.writeUInt16BE(idBytes, from + 11)
  buffer.set(body, bodyAt)
  return end
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
