// What survives once the cluster has answered: what all topics of a namespace promise, and whether that is enough for whoever asks.
import type { Capabilities } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import type { TopicFacts } from './driver'

export type Durability = Capabilities['durability']

const ORDER: readonly Durability[] = ['none', 'process', 'fsync', 'replicated']

export function parseDurability(value: string): Durability {
  const found = ORDER.find((each) => each === value)
  if (found === undefined)
    throw new TaskError('TASKS_OPTIONS', `durability is one of ${ORDER.join(', ')}, not "${value}"`)
  return found
}

/** Kafka answers before it has written to its disk, and is durable by its replicas. */
export function durabilityOf(facts: ReadonlyMap<string, TopicFacts>): Durability {
  const all = [...facts.values()]
  if (all.every(({ replicas, settings }) => replicas > 1 && Number(settings?.['min.insync.replicas'] ?? 1) > 1))
    return 'replicated'
  return all.every(({ settings }) => settings?.['flush.messages'] === '1') ? 'fsync' : 'process'
}

/** For people: what the weakest of the topics has. */
export function replicationOf(facts: ReadonlyMap<string, TopicFacts>): string {
  const all = [...facts.values()]
  const replicas = Math.min(...all.map((topic) => topic.replicas))
  const least = Math.min(...all.map(({ settings }) => Number(settings?.['min.insync.replicas'] ?? 1)))
  return `${replicas} replica${replicas === 1 ? '' : 's'}, min.insync.replicas ${least}`
}

export function checkDurability(namespace: string, found: Durability, least: Durability): void {
  if (ORDER.indexOf(found) >= ORDER.indexOf(least)) return
  const fix =
    least === 'replicated'
      ? 'on three brokers or more, open a new namespace with replicas: 3'
      : 'flush.messages=1 on every topic of it makes the broker write to its disk before it answers'
  throw new TaskError(
    'TASKS_STORE_UNSAFE',
    `the topics of namespace "${namespace}" promise "${found}", and durability: '${least}' was asked for: ${fix}`,
    { details: { durability: found } },
  )
}
