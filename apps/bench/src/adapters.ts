import type { Adapter } from '@tasks/core'
import { schemeOf } from './place'

// Compiled into the programs of the rounds, so that engine and adapter share one core. A scheme that is not here is found as users find it.
const ADAPTERS: Readonly<Record<string, () => Promise<Adapter>>> = {
  kafka: () => import('@tasks/transport-kafka'),
  nats: () => import('@tasks/transport-nats'),
  redis: () => import('@tasks/transport-redis'),
  sqlite: () => import('@tasks/transport-sqlite'),
}

export async function adaptersOf(url: string): Promise<Readonly<Record<string, Adapter>>> {
  const scheme = schemeOf(url)
  const adapter = await ADAPTERS[scheme]?.()
  return adapter === undefined ? {} : { [scheme]: adapter }
}
