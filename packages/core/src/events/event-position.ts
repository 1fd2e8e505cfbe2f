// Where a subscriber is: in each of its partitions behind a record of the log, and behind so many events of the next one. As a text it can be kept
// anywhere, and another process goes on from it.
import { TaskError } from '../errors'
import type { Position } from '../transport'

export interface Place {
  /** Undefined: before everything. */
  readonly after: Position | undefined
  readonly skip: number
}

export type Places = ReadonlyMap<number, Place>

export function positionText(places: Places): string {
  const entries = Array.from(places, ([partition, { after, skip }]) => [partition, after ?? null, skip])
  return Buffer.from(JSON.stringify(entries)).toString('base64url')
}

/** @throws TaskError TASKS_ARGUMENTS if it is none, or speaks of other partitions */
export function placesOf(text: string, partitions: readonly number[]): Places {
  const places = new Map(
    parse(text).map(([partition, after, skip]) => [partition, { after: after ?? undefined, skip }]),
  )
  const missing = partitions.filter((partition) => !places.has(partition))
  if (missing.length > 0) {
    throw new TaskError(
      'TASKS_ARGUMENTS',
      `from: this position is of a subscription to other pipelines: it says nothing of partition ${missing[0]}`,
    )
  }
  return new Map(partitions.map((partition) => [partition, places.get(partition)!]))
}

type Entry = readonly [partition: number, after: Position | null, skip: number]

function parse(text: string): readonly Entry[] {
  try {
    const entries: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    if (Array.isArray(entries) && entries.every(isEntry)) return entries
  } catch {
    // As if it were JSON of something else.
  }
  throw new TaskError('TASKS_ARGUMENTS', `from: "${text.slice(0, 40)}" is not a position that a subscription has given`)
}

function isEntry(entry: unknown): entry is Entry {
  if (!Array.isArray(entry)) return false
  const [partition, after, skip] = entry as readonly unknown[]
  return Number.isInteger(partition) && (after === null || typeof after === 'string') && Number.isInteger(skip)
}
