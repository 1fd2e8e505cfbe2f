// The floor of a store without a disk: each task is called, and its two messages are encoded and decoded, as they would be to cross a
// process. Core keeps its wire functions to itself; these make records of the same layout (a line of JSON, then the payload), whose
// sizes `test/floors.test.ts` compares with real ones.
import { jsonCodec } from '@tasks/core'
import { costOf } from '../cost'
import type { Floor, Floors } from './floor'

const codec = jsonCodec()
const ID = 'abcdefghijKLMNOPQRST'
const NEWLINE = 10
const SENT_AT = 1_700_000_000_000

function encode(header: readonly unknown[], payload: Uint8Array): Buffer {
  const text = JSON.stringify(header)
  const bytes = Buffer.allocUnsafe(text.length + 1 + payload.length)
  bytes.write(text, 0)
  bytes[text.length] = NEWLINE
  bytes.set(payload, text.length + 1)
  return bytes
}

function decode(bytes: Buffer): { readonly header: readonly unknown[]; readonly payload: Uint8Array } {
  const end = bytes.indexOf(NEWLINE)
  return { header: JSON.parse(bytes.toString('utf8', 0, end)) as unknown[], payload: bytes.subarray(end + 1) }
}

export function encodeTaskEnvelope(index: number): Buffer {
  const args = codec.encode([index])
  return encode([1, 't', ID, ID, `/0:/0.${index}/0`, 1, 'noop', 0, SENT_AT, {}, 0, 0, 2, args.length], args)
}

export function encodeOutcomeEnvelope(index: number, result: unknown): Buffer {
  const bytes = codec.encode(result)
  return encode([1, 'o', [[ID, ID, `/0:/0.${index}/0`, 1, 1, bytes.length]]], bytes)
}

/** @param call the task's function */
export function envelopeFloors(call: (index: number) => unknown): Floors {
  const floor: Floor = {
    title: 'encode and decode of both envelopes of a task, and the call',
    run: (count) =>
      costOf(() => {
        for (let i = 0; i < count; i++) {
          const { payload } = decode(encodeTaskEnvelope(i))
          const [index] = codec.decode(payload) as [number]
          const outcome = decode(encodeOutcomeEnvelope(i, call(index)))
          codec.decode(outcome.payload)
        }
      }),
  }
  return { items: floor, steps: floor, close: () => undefined }
}
