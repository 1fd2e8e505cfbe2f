// What kind of server this is, and whether it may be trusted with tasks.
import type { Capabilities } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { StreamConfig } from './jetstream'
import { isPayloadTooSmall } from './limits'

export type Durability = Capabilities['durability']

const ORDER: readonly Durability[] = ['none', 'process', 'fsync', 'replicated']
const OLDEST = [2, 9] as const

export function isBefore(version: string, least: readonly number[]): boolean {
  const found = version.split('.').map(Number)
  for (const [i, number] of least.entries()) if (found[i] !== number) return (found[i] ?? 0) < number
  return false
}

/** Refuses a server on which nothing works. */
export function checkServer({ info }: Connection): void {
  if (isBefore(info.version, OLDEST))
    throw new TaskError(
      'TASKS_UNSUPPORTED',
      `nats-server ${info.version} is too old; ${OLDEST.join('.')} or newer is needed`,
    )
  if (info.jetstream !== true)
    throw new TaskError(
      'TASKS_UNSUPPORTED',
      'the server runs without JetStream: start it with -js, or switch it on for this account',
    )
  if (isPayloadTooSmall(info.max_payload))
    throw new TaskError(
      'TASKS_STORE_UNSAFE',
      `max_payload of the server is ${info.max_payload} bytes: nothing that the engine makes fits; give it 1MB, the default`,
    )
}

/** Whether every answer of the server comes after the disk's: only its monitoring port tells. */
export async function syncsAlways(monitor: string | undefined): Promise<boolean> {
  if (monitor === undefined) return false
  const url = new URL('/varz', monitor)
  try {
    const answer = (await (await fetch(url, { signal: AbortSignal.timeout(2_000) })).json()) as {
      readonly jetstream?: { readonly config?: { readonly sync_always?: boolean } }
    }
    return answer.jetstream?.config?.sync_always === true
  } catch (error) {
    throw new TaskError('TASKS_UNAVAILABLE', `the monitoring port ${url.href} does not answer`, { cause: error })
  }
}

/** For people: which server, and what the number of copies of its streams means. */
export function describeServer({ info }: Connection, replicas: number): string {
  const copies =
    replicas === 1 ? 'one copy (R1): away while its server is, gone with its disk' : `${replicas} copies (R${replicas})`
  return `nats-server ${info.version}, ${copies}`
}

/** What survives once the server has answered: of several streams, what the weakest of them promises. */
export function durabilityOf(
  streams: readonly Pick<StreamConfig, 'storage' | 'num_replicas'>[],
  syncsAlways: boolean,
): Durability {
  const found = streams.map(({ storage, num_replicas = 1 }): Durability => {
    if (storage === 'memory') return 'none'
    if (num_replicas >= 3) return 'replicated'
    return syncsAlways ? 'fsync' : 'process'
  })
  return ORDER.find((each) => found.includes(each)) ?? 'none'
}

/** Copies and syncing are two questions: three servers on one power line lose together what none of them has synced. */
export function checkDurability(streams: readonly StreamConfig[], syncsAlways: boolean, least: Durability): void {
  const isEnough = (found: Durability): boolean =>
    ORDER.indexOf(found) >= ORDER.indexOf(least) && (least !== 'fsync' || syncsAlways)
  const weak = streams.find((stream) => !isEnough(durabilityOf([stream], syncsAlways)))
  if (weak === undefined) return
  const found = durabilityOf([weak], syncsAlways)
  const fix =
    found === 'none'
      ? 'its storage is memory: recreate it with storage file'
      : least === 'replicated'
        ? `it has fewer than three replicas: on a cluster, open a new namespace with replicas: 3, or nats stream edit ${weak.name} --replicas=3`
        : 'set jetstream { sync_interval: always } in the configuration of the server, and name its monitoring port: monitor: "http://host:8222"'
  throw new TaskError(
    'TASKS_STORE_UNSAFE',
    `stream ${weak.name} promises "${found}", and durability: '${least}' was asked for: ${fix}`,
    { details: { stream: weak.name, durability: found } },
  )
}
