// To everyone: best-effort broadcasts.
import { decodeRecord, encodeRecord } from '../record'
import type { Bytes } from '../transport'
import { WIRE_VERSION } from './version'

/** These runs are being cancelled: workers need not begin, or end, what they have of them. */
export interface CancelledSignal {
  readonly type: 'cancelled'
  readonly runs: readonly { readonly id: string; readonly run: string }[]
}

export function encodeSignal({ runs }: CancelledSignal): Bytes {
  return encodeRecord([WIRE_VERSION, 'x', runs.map(({ id, run }) => [id, run])])
}

/** Undefined if it is of another kind, or version: signals are only hints. */
export function decodeSignal(bytes: Bytes): CancelledSignal | undefined {
  const { header } = decodeRecord(bytes)
  if (header[0] !== WIRE_VERSION || header[1] !== 'x') return undefined
  return { type: 'cancelled', runs: (header[2] as [string, string][]).map(([id, run]) => ({ id, run })) }
}
