import { TaskError } from '@tasks/core/adapter'
import type { Durability } from './server'

export interface Location {
  /** What is left for ioredis. */
  readonly url: string
  readonly prefix?: string
  readonly durability?: Durability
}

const DURABILITIES = ['none', 'process', 'fsync'] as const

/** Reads `redis://user:password@host:6379/0?prefix=shop&durability=none`. */
export function parseUrl(url: string): Location {
  const refuse = (why: string): TaskError =>
    new TaskError(
      'TASKS_OPTIONS',
      `the Redis URL is not usable: ${why}; write redis://host:6379, or redis://user:password@host:6379/0`,
    )
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw refuse('it is malformed')
  }
  if (parsed.protocol !== 'redis:' && parsed.protocol !== 'rediss:') throw refuse(`its scheme is ${parsed.protocol}`)
  const location: { url: string; prefix?: string; durability?: Durability } = { url }
  for (const [name, value] of parsed.searchParams) {
    if (name === 'prefix') {
      if (value === '') throw refuse('its prefix is empty')
      location.prefix = value
    } else if (name === 'durability') location.durability = parseDurability(value)
    else
      throw refuse(
        `there is no option "${name}"; known are prefix and durability. Others go with redisTransport({ url, connection })`,
      )
  }
  parsed.search = ''
  return { ...location, url: parsed.href }
}

export function parseDurability(value: string): Durability {
  const found = DURABILITIES.find((known) => known === value)
  if (found === undefined)
    throw new TaskError('TASKS_OPTIONS', `durability is 'none', 'process' or 'fsync', not '${value}'`)
  return found
}
