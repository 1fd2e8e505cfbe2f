// What kind of server this is, and whether it may be trusted with tasks.
import type { Capabilities } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import { noCluster } from './client'
import type { Connection } from './connection'
import { isReply } from './failure'

export type Durability = Extract<Capabilities['durability'], 'none' | 'process' | 'fsync'>

export interface ServerFacts {
  readonly name: string
  readonly version: string
  readonly durability: Durability
}

const OLDEST: Readonly<Record<string, string>> = { Redis: '7.0', Valkey: '8.0' }
const ORDER: readonly Durability[] = ['none', 'process', 'fsync']

/** Looks at the server, and refuses one that cannot promise `least`. */
export async function inspectServer(connection: Connection, least: Durability): Promise<ServerFacts> {
  const info = parseInfo(String(await connection.command('info')))
  const facts = { ...productOf(info), durability: await durabilityOf(connection, info) }
  refuseOld(facts)
  if (info['cluster_enabled'] === '1') throw noCluster()
  const policy = info['maxmemory_policy']
  if (policy !== undefined && policy !== 'noeviction') {
    throw unsafe(
      `maxmemory-policy is ${policy}: when memory runs short the server would drop tasks and pipelines silently`,
      'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
      { policy },
    )
  }
  if (ORDER.indexOf(facts.durability) < ORDER.indexOf(least)) {
    if (facts.durability === 'none') {
      throw unsafe(
        'it writes no append-only file: everything is lost when it stops',
        "CONFIG SET appendonly yes, and the same in redis.conf; or say that this is meant, with durability: 'none' (in a URL ?durability=none)",
        { appendonly: 'no' },
      )
    }
    throw unsafe(
      `it promises "${facts.durability}", and durability: '${least}' was asked for`,
      'CONFIG SET appendfsync always, and the same in redis.conf',
      { durability: facts.durability },
    )
  }
  return facts
}

function unsafe(what: string, fix: string, details: Record<string, unknown>): TaskError {
  return new TaskError('TASKS_STORE_UNSAFE', `this Redis is not safe for tasks: ${what}. To mend it: ${fix}`, {
    details,
  })
}

function productOf(info: Info): { readonly name: string; readonly version: string } {
  const valkey = info['valkey_version']
  return valkey === undefined
    ? { name: 'Redis', version: info['redis_version'] ?? '0' }
    : { name: 'Valkey', version: valkey }
}

function refuseOld({ name, version }: ServerFacts): void {
  const oldest = OLDEST[name]!
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [leastMajor = 0, leastMinor = 0] = oldest.split('.').map(Number)
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return
  throw new TaskError('TASKS_UNSUPPORTED', `${name} ${version} is too old; ${oldest} or newer is needed`, {
    details: { name, version, oldest },
  })
}

async function durabilityOf(connection: Connection, info: Info): Promise<Durability> {
  if (info['aof_enabled'] !== '1') return 'none'
  // Many hosted servers do not tell. Then it is what any append-only file promises.
  const answer = await connection.command('config', 'get', 'appendfsync').catch((error: TaskError) => {
    if (isReply(error.cause)) return undefined
    throw error
  })
  const values = Array.isArray(answer) ? answer.map(String) : []
  return values.includes('always') ? 'fsync' : 'process'
}

type Info = Readonly<Record<string, string | undefined>>

function parseInfo(text: string): Info {
  return Object.fromEntries(
    text.split('\r\n').flatMap((line) => {
      const at = line.indexOf(':')
      return at < 1 || line.startsWith('#') ? [] : [[line.slice(0, at), line.slice(at + 1)]]
    }),
  )
}
