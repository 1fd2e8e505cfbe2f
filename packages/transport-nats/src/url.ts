import { TaskError } from '@tasks/core/adapter'
import type { NodeConnectionOptions } from '@nats-io/transport-node'
import type { Durability } from './server'

export interface Location {
  readonly servers: readonly string[]
  /** What the URL says of user, password, token and TLS, in the words of the client library. */
  readonly connection: NodeConnectionOptions
  readonly prefix?: string
  readonly durability?: Durability
  readonly replicas?: number
  readonly monitor?: string
}

const DURABILITIES: readonly Durability[] = ['none', 'process', 'fsync', 'replicated']

/** Reads `nats://user:password@a:4222,b:4222?prefix=shop&durability=replicated&replicas=3`, `nats://token@a`, `tls+nats://…`. */
export function parseUrl(url: string): Location {
  const [, scheme, authority, query = ''] = /^(nats|tls\+nats):\/\/([^/?#]+)\/?(?:\?([^#]*))?$/.exec(url) ?? []
  if (scheme === undefined || authority === undefined) throw refuse('it is malformed')
  const at = authority.lastIndexOf('@')
  const servers = authority
    .slice(at + 1)
    .split(',')
    .map((server) => server.trim())
  if (servers.some((server) => !/^(\[[0-9a-f:.]+\]|[^:@[\]\s]+)(:\d+)?$/i.test(server)))
    throw refuse('a server is none')
  const connection: { user?: string; pass?: string; token?: string; tls?: object } = {}
  if (at >= 0) {
    const [user, password] = authority.slice(0, at).split(/:(.*)/s)
    if (password === undefined) connection.token = decodeURIComponent(user!)
    else Object.assign(connection, { user: decodeURIComponent(user!), pass: decodeURIComponent(password) })
  }
  if (scheme === 'tls+nats') connection.tls = {}
  const location: { prefix?: string; durability?: Durability; replicas?: number; monitor?: string } = {}
  for (const [name, value] of new URLSearchParams(query)) {
    if (value === '') throw refuse(`${name} is empty`)
    if (name === 'prefix' || name === 'monitor') location[name] = value
    else if (name === 'durability') location.durability = parseDurability(value)
    else if (name === 'replicas') location.replicas = parseReplicas(Number(value))
    else
      throw refuse(
        `there is no option "${name}"; known are prefix, durability, replicas and monitor. Others go with natsTransport({ url, connection })`,
      )
  }
  return { servers, connection, ...location }
}

export function parseDurability(value: string): Durability {
  const found = DURABILITIES.find((known) => known === value)
  if (found === undefined)
    throw new TaskError('TASKS_OPTIONS', `durability is one of ${DURABILITIES.join(', ')}, not '${value}'`)
  return found
}

export function parseReplicas(value: number): number {
  if (value === 1 || value === 3 || value === 5) return value
  throw new TaskError('TASKS_OPTIONS', `replicas is 1, 3 or 5, not ${value}`)
}

function refuse(why: string): TaskError {
  return new TaskError(
    'TASKS_OPTIONS',
    `the NATS URL is not usable: ${why}; write nats://host:4222, nats://user:password@host:4222, or several hosts with commas between`,
  )
}
