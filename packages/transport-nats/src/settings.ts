// What the settings of streams and durable consumers must be. Somebody else may have made them, or edited them since: what would break a promise is refused, with what mends it.
import { TaskError } from '@tasks/core/adapter'
import type { ConsumerConfig, ConsumerInfo, StreamConfig, StreamInfo } from './jetstream'
import type { Names, StreamNames } from './names'

export type Kind = keyof StreamNames

/** What differs from the server's defaults, of a stream that keeps everything until it is told otherwise. */
export const STREAM_SETTINGS: Readonly<Record<Kind, Partial<StreamConfig>>> = {
  state: { max_msgs_per_subject: 1 },
  inbox: {},
  log: {},
  queue: { retention: 'workqueue' },
  event: {},
  dead: {},
  blob: { max_msgs_per_subject: 1 },
}

/** Of every durable consumer. How often something is handed out is counted here, not there. */
export const CONSUMER_SETTINGS = {
  ack_policy: 'explicit',
  max_deliver: -1,
  max_ack_pending: -1,
  deliver_policy: 'all',
  replay_policy: 'instant',
} as const satisfies Partial<ConsumerConfig>

interface Rule {
  readonly setting: string
  /** What it must be. None, 0, -1 and false are the same. */
  readonly must: string | number | undefined
  /** Else. */
  readonly danger: string
  /** Of the `edit` of the `nats` program; absent: it cannot be edited. */
  readonly option?: string
}

const DROPS = 'the server would drop what is needed, silently'
const KEEPS = 'nothing could be removed'
const STOPS = 'the server would refuse what is sent'

function streamRules(kind: Kind): readonly Rule[] {
  const isUnlimited = kind !== 'event'
  const { retention = 'limits', max_msgs_per_subject } = STREAM_SETTINGS[kind]
  const limit = (setting: string, option: string): Rule => ({ setting, must: undefined, danger: DROPS, option })
  return [
    { setting: 'retention', must: retention, danger: kind === 'queue' ? 'what is done would stay' : DROPS },
    ...(isUnlimited
      ? [limit('max_age', '--max-age=-1'), limit('max_msgs', '--max-msgs=-1'), limit('max_bytes', '--max-bytes=-1')]
      : // Old ones go, or none comes any more.
        [{ setting: 'discard', must: 'old', danger: STOPS, option: '--discard=old' }]),
    ...(kind === 'event'
      ? []
      : [
          {
            setting: 'max_msgs_per_subject',
            must: max_msgs_per_subject,
            danger: max_msgs_per_subject === undefined ? DROPS : 'what was replaced would stay',
            option: `--max-msgs-per-subject=${max_msgs_per_subject ?? -1}`,
          },
        ]),
    { setting: 'max_msg_size', must: undefined, danger: STOPS, option: '--max-msg-size=-1' },
    { setting: 'max_consumers', must: undefined, danger: 'whoever comes last could not read it' },
    { setting: 'sealed', must: undefined, danger: STOPS },
    { setting: 'no_ack', must: undefined, danger: 'nobody would hear what was stored', option: '--ack' },
    ...(kind === 'event' ? [] : [{ setting: 'deny_purge', must: undefined, danger: KEEPS }]),
    ...(kind === 'dead' ? [{ setting: 'deny_delete', must: undefined, danger: KEEPS }] : []),
  ]
}

const CONSUMER_RULES: readonly Rule[] = [
  { setting: 'ack_policy', must: CONSUMER_SETTINGS.ack_policy, danger: 'what a dead worker had would be lost' },
  {
    setting: 'max_deliver',
    must: undefined,
    danger: 'what was handed out that often would stay in the stream and never come again',
    option: '--max-deliver=-1',
  },
  {
    setting: 'max_ack_pending',
    must: undefined,
    danger: 'workers would wait for each other',
    option: '--max-pending=-1',
  },
  { setting: 'backoff', must: undefined, danger: 'leases would end before their time' },
  { setting: 'deliver_policy', must: CONSUMER_SETTINGS.deliver_policy, danger: 'what was there before would not come' },
  {
    setting: 'replay_policy',
    must: CONSUMER_SETTINGS.replay_policy,
    danger: 'tasks would come at the pace at which they were sent',
  },
  {
    setting: 'headers_only',
    must: undefined,
    danger: 'tasks would come without what they are',
    option: '--no-headers-only',
  },
  {
    setting: 'inactive_threshold',
    must: undefined,
    danger: 'it would be removed, with what it knows of tasks that are held',
  },
  {
    setting: 'max_batch',
    must: undefined,
    danger: 'the server would refuse to hand out tasks',
    option: '--max-pull-batch=-1',
  },
  {
    setting: 'max_expires',
    must: undefined,
    danger: 'the server would refuse to hand out tasks',
    option: '--max-pull-expire=-1',
  },
  {
    setting: 'max_bytes',
    must: undefined,
    danger: 'the server would refuse to hand out tasks',
    option: '--max-pull-bytes=-1',
  },
]

/** @throws TaskError TASKS_STORE_UNSAFE */
export function checkStream({ config }: StreamInfo, kind: Kind, names: Names): void {
  check(`stream ${config.name}`, `stream edit ${config.name}`, config, streamRules(kind))
  const subjects = names.subjectsOf(kind)
  if (config.subjects?.includes(subjects) !== true)
    throw unsafe(
      `stream ${config.name}`,
      'subjects',
      config.subjects,
      subjects,
      STOPS,
      `nats stream edit ${config.name} --subjects='${subjects}'`,
    )
}

/** @throws TaskError TASKS_STORE_UNSAFE */
export function checkConsumer({ name, config }: ConsumerInfo, stream: string, subject: string): void {
  const what = `consumer ${name} of stream ${stream}`
  check(what, `consumer edit ${stream} ${name}`, config, CONSUMER_RULES)
  if (config.filter_subject !== subject)
    throw unsafe(
      what,
      'filter_subject',
      config.filter_subject,
      subject,
      'tasks of others would come, or none',
      undefined,
    )
}

function check(what: string, edit: string, config: Readonly<Record<string, unknown>>, rules: readonly Rule[]): void {
  for (const { setting, must, danger, option } of rules) {
    const found = meaning(config[setting])
    if (found !== must) throw unsafe(what, setting, found, must, danger, option && `nats ${edit} ${option}`)
  }
}

/** Undefined if it sets no limit, and asks for nothing. */
function meaning(value: unknown): unknown {
  const isNone = value === false || value === null || (typeof value === 'number' && value <= 0)
  return isNone || (Array.isArray(value) && value.length === 0) ? undefined : value
}

function unsafe(
  what: string,
  setting: string,
  found: unknown,
  must: unknown,
  danger: string,
  command: string | undefined,
): TaskError {
  const text = (value: unknown): string =>
    value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value)
  return new TaskError(
    'TASKS_STORE_UNSAFE',
    `${what} has ${setting} = ${text(found)}, not ${text(must)}: ${danger}. To mend it: ${command ?? 'it cannot be edited; remove it and let it be created anew'}`,
    { details: { setting, found, must } },
  )
}
