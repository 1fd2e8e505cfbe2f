// What cases send, and how they look at what arrives.
import assert from 'node:assert/strict'
import type { Bytes, Commit, Send } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'

export function bytes(text: string): Bytes {
  return new TextEncoder().encode(text)
}

export function text(body: Bytes | undefined): string | undefined {
  return body === undefined ? undefined : new TextDecoder().decode(body)
}

/** Bodies that something between two programs is known to have spoiled. */
export const oddBodies: readonly Bytes[] = [
  new Uint8Array(0),
  new Uint8Array([0]),
  new Uint8Array([0, 1, 0, 2, 0]),
  new Uint8Array([0xff, 0xfe, 0x80, 0xc3, 0x28]),
  Uint8Array.from({ length: 256 }, (_, i) => i),
  bytes('\r\n\u2028 "\\ \u0000 é 😀'),
  Uint8Array.from({ length: 5000 }, (_, i) => (i * 31) % 251),
  // A window on a larger buffer: what is around it is not the body.
  new Uint8Array([9, 9, 1, 2, 3, 9]).subarray(2, 5),
]

/** Ids that something between two programs is known to have taken for syntax. No two differ by escaping alone. */
export const oddIds: readonly string[] = [
  'a',
  'A',
  'a%',
  'a_',
  'a*',
  'a?',
  'a[b]',
  'a\\',
  "a'",
  'a"',
  'ab',
  'a b',
  'a:',
  'a.',
  'a>',
  'a{1}',
  'a$',
  'a#',
  'a|',
  'aé',
  'a\u00e9\u0301',
  'a😀',
  'a\uffee',
  '..',
  '%2F',
  '~',
  '-',
]

export function toTask(queue: string, id: string, body: Bytes = bytes(id), priority?: number): Send {
  return { target: priority === undefined ? { to: 'task', queue } : { to: 'task', queue, priority }, id, body }
}

export function toInbox(partition: number, id: string, body: Bytes = bytes(id)): Send {
  return { target: { to: 'inbox', partition }, id, body }
}

export function toEvents(partition: number, id: string, body: Bytes = bytes(id)): Send {
  return { target: { to: 'events', partition }, id, body }
}

/** A commit of what is named; the rest is empty. */
export function commitOf(
  seq: number,
  parts: Partial<Omit<Commit, 'rows'>> & { rows?: Record<string, Bytes | string | null> } = {},
): Commit {
  const { rows = {}, ...rest } = parts
  const values = Object.entries(rows).map(
    ([key, value]) => [key, typeof value === 'string' ? bytes(value) : value] as const,
  )
  return { time: 1000 + seq, sends: [], ...rest, seq, rows: new Map(values) }
}

export function sameBytes(actual: Bytes | undefined, expected: Bytes, what: string): void {
  assert.ok(actual !== undefined, `${what} is missing`)
  const equal = Buffer.compare(actual, expected) === 0
  assert.ok(
    equal,
    `${what}: sent ${Buffer.from(expected).toString('hex').slice(0, 80)}, got ${Buffer.from(actual).toString('hex').slice(0, 80)}`,
  )
}

/** The call throws or rejects with a TaskError of this code. */
export async function rejects(call: () => unknown, code: string, what: string): Promise<void> {
  try {
    await call()
  } catch (error) {
    assert.ok(TaskError.is(error), `${what}: expected a TaskError ${code}, got ${String(error)}`)
    assert.equal(error.code, code, `${what}: ${error.message}`)
    return
  }
  assert.fail(`${what} was not refused with ${code}`)
}

/** A random order of the numbers below `count`, the same each time. */
export function shuffled(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => ((a * 7919) % 104729) - ((b * 7919) % 104729))
}
