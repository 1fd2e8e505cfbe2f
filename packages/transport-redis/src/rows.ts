import type { Bytes, RowKey } from '@tasks/core'
import type { Argument } from './call'
import type { Connection } from './connection'
import type { PartitionKeys } from './keys'
import { scan } from './scripts/scan'

export async function loadRows(
  connection: Connection,
  { rows }: PartitionKeys,
  keys: readonly RowKey[],
): Promise<readonly (Bytes | undefined)[]> {
  if (keys.length === 0) return []
  const values = (await connection.command('hmget', rows, ...keys)) as readonly (Buffer | null)[]
  return values.map((value) => value ?? undefined)
}

/** Above every character of UTF-8. */
const END = Buffer.from([0xff])

export async function scanRows(
  connection: Connection,
  { rows, index }: PartitionKeys,
  prefix: string,
  after: RowKey | undefined,
  limit: number,
): Promise<readonly (readonly [RowKey, Bytes])[]> {
  if (limit <= 0) return []
  const isWithin = after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0
  const from: Argument = isWithin ? `(${after}` : `[${prefix}`
  const to = Buffer.concat([Buffer.from(`(${prefix}`), END])
  const found = (await connection.run(scan, [rows, index], [from, to, limit])) as readonly Buffer[]
  return Array.from({ length: found.length / 2 }, (_, i) => [found[2 * i]!.toString(), found[2 * i + 1]!] as const)
}
