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

/** What the records of a commit, and its end, are stored in. */
export interface Stores {
  readonly topics: ReadonlyMap<string, TopicFacts>
  /** `__transaction_state`, where the brokers write that a commit has ended; undefined if the user may not look at it. */
  readonly ends: TopicFacts | undefined
}

/** Kafka answers before it has written to its disk, and is durable by its replicas. A commit whose end is lost is undone: so the weakest counts. */
export function durabilityOf({ topics, ends }: Stores): Durability {
  if (ends === undefined) return 'process'
  const all = [...topics.values(), ends]
  if (all.every((topic) => topic.replicas > 1 && inSync(topic) > 1)) return 'replicated'
  return all.every(({ settings }) => settings?.['flush.messages'] === '1') ? 'fsync' : 'process'
}

/** For people: what the weakest of the topics has, and where ends are written, if that is less. */
export function replicationOf({ topics, ends }: Stores): string {
  const all = [...topics.values()]
  const replicas = Math.min(...all.map((topic) => topic.replicas))
  const least = Math.min(...all.map(inSync))
  const ours = say(replicas, least)
  if (ends === undefined) return `${ours}, ${ENDS} may not be looked at`
  return ends.replicas < replicas || inSync(ends) < least
    ? `${ours}, ${ENDS} ${say(ends.replicas, inSync(ends))}`
    : ours
}

export function checkDurability(namespace: string, stores: Stores, least: Durability): void {
  const found = durabilityOf(stores)
  if (ORDER.indexOf(found) >= ORDER.indexOf(least)) return
  throw new TaskError(
    'TASKS_STORE_UNSAFE',
    `the topics of namespace "${namespace}" promise "${found}" (${replicationOf(stores)}), and durability: '${least}' was asked for: ${fixOf(stores, least)}`,
    { details: { durability: found } },
  )
}

function fixOf({ topics, ends }: Stores, least: Durability): string {
  if (ends === undefined) return `the user needs Describe and DescribeConfigs on ${ENDS}; the README has the ACLs`
  if (least !== 'replicated')
    return `flush.messages=1 on every topic of it, and on ${ENDS}, makes the broker write to its disk before it answers`
  if (durabilityOf({ topics, ends: topics.values().next().value }) === 'replicated')
    return `${ENDS} needs several replicas, too: kafka-reassign-partitions.sh gives them, kafka-configs.sh --alter its min.insync.replicas`
  return 'on three brokers or more, open a new namespace with replicas: 3'
}

const ENDS = '__transaction_state'

function inSync({ settings }: TopicFacts): number {
  return Number(settings?.['min.insync.replicas'] ?? 1)
}

function say(replicas: number, least: number): string {
  return `${replicas} replica${replicas === 1 ? '' : 's'}, min.insync.replicas ${least}`
}
