// Opening a namespace: its topics are there, or made, or refused with what is wrong about them.
//
// N1. The first record of `meta` says how many partitions there are, whoever wrote it: many may create at once.
// N2. A topic that has another number of partitions than that, or settings by which messages are lost, is refused.
import type { EventRetention, OpenOptions } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { TaskError } from '@tasks/core/adapter'
import type { KafkaDriver, TopicFacts, TopicSpec } from './driver'
import type { Durability } from './durability'
import { checkDurability, durabilityOf, replicationOf } from './durability'
import { refused } from './failure'
import { DEFAULT_PARTITIONS, MAX_BATCH_BYTES, MAX_PARTITIONS } from './limits'
import type { Topics } from './topics'
import { PART_NAMES } from './topics'

const RETENTION: EventRetention = { maxAgeMs: 7 * 24 * 3600 * 1000, maxBytes: 256 * 1024 * 1024 }

/** Settings by which messages are lost or read wrongly, or the broker's clock is not the records'. The others are for whoever runs the cluster to change. */
const SAFETY = new Set([
  'cleanup.policy',
  'compression.type',
  'message.timestamp.type',
  'unclean.leader.election.enable',
])
/** Where we ask for it: messages are kept until we let go of them. */
const FOR_EVER = '-1'

/** Of everything in a namespace's topics. A newer one is refused. */
const FORMAT = 1

export interface Opened {
  readonly partitions: number
  readonly durability: Durability
  /** For people. */
  readonly replication: string
  readonly retention: EventRetention
}

interface Meta {
  readonly format: number
  readonly partitions: number
}

export interface NamespaceParts {
  readonly driver: KafkaDriver
  readonly topics: Topics
  readonly clock: Clock
  /** How many replicas topics are created with. */
  readonly replicas: number
  /** Whether somebody has asked for that number: then fewer are refused. */
  readonly areAsked: boolean
  /** How many of them must have a record before it counts as stored. */
  readonly least: number
  readonly onWarning: (message: string) => void
  /** The least that the topics must promise. */
  readonly durability: Durability
}

export async function openNamespace(
  { driver, topics, clock, replicas, areAsked, least, onWarning, durability: wanted }: NamespaceParts,
  { namespace, partitions, provision, retention: asked }: OpenOptions,
): Promise<Opened> {
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS)) {
    throw new TaskError(
      'TASKS_OPTIONS',
      `partitions must be a whole number from 1 to ${MAX_PARTITIONS}, not ${partitions}`,
    )
  }
  const retention = { ...RETENTION, ...asked }
  const names = PART_NAMES.map((part) => topics.name(part))
  let facts = await driver.describe(names)
  const specsFor = (count: number): TopicSpec[] =>
    PART_NAMES.map((part) => topics.spec(part, { partitions: count, least, retention }))
  if (facts.size < names.length) {
    if (provision === 'verify') throw notThere(namespace, specsFor(partitions ?? DEFAULT_PARTITIONS), facts)
    await driver.create([topics.spec('meta', { partitions: 1, least, retention })], replicas)
  }
  const meta = await readMeta(driver, topics, namespace, async () => {
    if (provision === 'verify') return
    const proposal: Meta = { format: FORMAT, partitions: partitions ?? DEFAULT_PARTITIONS }
    const value = Buffer.from(JSON.stringify({ ...proposal, created: new Date(clock.now()).toISOString() }))
    const [stored] = await driver.produce([
      { topic: topics.name('meta'), partition: 0, records: [{ key: null, value }] },
    ])
    if (!stored!.ok) throw stored!.error
  })
  if (partitions !== undefined && partitions !== meta.partitions) {
    throw new TaskError(
      'TASKS_PARTITIONS_MISMATCH',
      `namespace "${namespace}" has ${meta.partitions} partitions, not ${partitions}; the number is fixed when it is created`,
      { details: { stored: meta.partitions, asked: partitions } },
    )
  }
  const specs = specsFor(meta.partitions)
  if (facts.size < names.length) {
    await driver.create(specs, replicas)
    facts = await driver.describe(names)
  }
  refuseUnseen(namespace, facts)
  const fewer = fewerReplicas(specs, facts, replicas)
  const areRefused = areAsked || provision === 'verify'
  refuseDifferences(namespace, specs, facts, areRefused ? fewer : [])
  if (fewer.length > 0)
    onWarning(`namespace "${namespace}" can lose more than it would have to on this cluster: ${fewer.join('; ')}`)
  const stores = { topics: facts, ends: await driver.ends(topics.transactionalId(0)) }
  checkDurability(namespace, stores, wanted)
  return {
    partitions: meta.partitions,
    durability: durabilityOf(stores),
    replication: replicationOf(stores),
    retention,
  }
}

async function readMeta(
  driver: KafkaDriver,
  topics: Topics,
  namespace: string,
  propose: () => Promise<void>,
): Promise<Meta> {
  const place = { topic: topics.name('meta'), partition: 0 }
  for (let proposed = false; ; proposed = true) {
    const [first] = (await driver.read(place, 0)).records
    if (first !== undefined) return parseMeta(first.value, namespace, place.topic)
    if (proposed) throw new TaskError('TASKS_NOT_FOUND', `namespace "${namespace}": topic ${place.topic} is empty`)
    await propose()
  }
}

function parseMeta(value: Buffer | null, namespace: string, topic: string): Meta {
  let meta: Partial<Meta> = {}
  try {
    meta = JSON.parse(String(value)) as Partial<Meta>
  } catch {
    // Not ours.
  }
  const { format, partitions } = meta ?? {}
  if (!Number.isInteger(format) || !Number.isInteger(partitions) || format! < 1 || partitions! < 1)
    throw new TaskError('TASKS_STORE_FOREIGN', `the topic ${topic} belongs to another program; choose another prefix`)
  if (format! > FORMAT) {
    throw new TaskError(
      'TASKS_STORE_NEWER',
      `namespace "${namespace}" has format ${format}, and this version of @tasks/transport-kafka reads up to ${FORMAT}; upgrade the package`,
      { details: { format, readable: FORMAT } },
    )
  }
  return { format: format!, partitions: partitions! }
}

function notThere(namespace: string, specs: readonly TopicSpec[], facts: ReadonlyMap<string, TopicFacts>): TaskError {
  const missing = specs.filter(({ topic }) => !facts.has(topic))
  const lines = missing.map(
    ({ topic, partitions, settings }) =>
      `${topic} (${partitions} partition${partitions === 1 ? '' : 's'}; ${Object.entries(settings)
        .map(([name, value]) => `${name}=${value}`)
        .join(', ')})`,
  )
  return new TaskError(
    'TASKS_NOT_FOUND',
    `namespace "${namespace}" is not whole on this cluster, and is not to be created. Missing:\n${lines.join('\n')}`,
    { details: { missing: missing.map(({ topic }) => topic) } },
  )
}

/** What cannot be looked at is not known to be right. */
function refuseUnseen(namespace: string, facts: ReadonlyMap<string, TopicFacts>): void {
  const unseen = [...facts].filter(([, { settings }]) => settings === undefined).map(([topic]) => topic)
  if (unseen.length > 0)
    throw refused(
      `namespace "${namespace}"`,
      `the user may not look at the settings of ${unseen.join(', ')}, by which tasks may be lost: DescribeConfigs is needed, the README has the ACLs that suffice`,
    )
}

/** Topics are created with as many as there are brokers just then: more may come, and the topics stay as they are. */
function fewerReplicas(
  specs: readonly TopicSpec[],
  facts: ReadonlyMap<string, TopicFacts>,
  wanted: number,
): readonly string[] {
  const fewer: string[] = []
  for (const { topic, settings } of specs) {
    const found = facts.get(topic)
    if (found === undefined) continue
    if (found.replicas < wanted)
      fewer.push(`${topic}: ${found.replicas} replica${found.replicas === 1 ? '' : 's'} instead of ${wanted}`)
    const least = settings[IN_SYNC]!
    const actual = found.settings?.[IN_SYNC]
    if (Number(actual) < Number(least)) fewer.push(`${topic}: ${IN_SYNC}=${actual} instead of ${least}`)
  }
  return fewer
}

const IN_SYNC = 'min.insync.replicas'

/** @param fewer differences in replicas, if they are refused */
function refuseDifferences(
  namespace: string,
  specs: readonly TopicSpec[],
  facts: ReadonlyMap<string, TopicFacts>,
  fewer: readonly string[],
): void {
  const shapes: string[] = []
  const settings = [...fewer]
  for (const spec of specs) {
    const found = facts.get(spec.topic)
    if (found === undefined) continue
    if (found.partitions !== spec.partitions)
      shapes.push(`${spec.topic} has ${found.partitions} partitions instead of ${spec.partitions}`)
    if (found.settings === undefined) continue
    for (const [name, wanted] of Object.entries(spec.settings)) {
      const actual = found.settings[name]
      if (actual === undefined || actual === wanted || !(SAFETY.has(name) || wanted === FOR_EVER)) continue
      settings.push(`${spec.topic}: ${name}=${actual} instead of ${wanted}`)
    }
    const most = Number(found.settings['max.message.bytes'])
    if (most < MAX_BATCH_BYTES + 1_000)
      settings.push(`${spec.topic}: max.message.bytes=${most} instead of at least ${MAX_BATCH_BYTES + 1_000}`)
  }
  if (shapes.length > 0) {
    throw new TaskError(
      'TASKS_PARTITIONS_MISMATCH',
      `namespace "${namespace}": ${shapes.join('; ')}. Partitions were added by hand: what was hashed onto the old ones is not found on the new`,
      { details: { differences: shapes } },
    )
  }
  if (settings.length > 0) {
    throw new TaskError(
      'TASKS_STORE_UNSAFE',
      `namespace "${namespace}": its topics have other settings than they must have:\n${settings.join('\n')}\nkafka-configs.sh --alter changes them, and kafka-reassign-partitions.sh the number of replicas`,
      { details: { differences: settings } },
    )
  }
}
