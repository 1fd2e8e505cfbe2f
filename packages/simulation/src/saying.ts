// Messages and rows in words. What cannot be read says so.
import type { Bytes, Send } from '@tasks/core'
import { parentOf, splitEntry, splitHop } from '@tasks/core/src/engine/paths'
import { decodeRow } from '@tasks/core/src/engine/row-codec'
import { pipelineKey, RunKeys, WINDOWS } from '@tasks/core/src/engine/row-keys'
import type { ChainRow, PipelineRow, WindowRow } from '@tasks/core/src/engine/rows'
import { Kind } from '@tasks/core/src/value'
import { decodeInbox, type InboxBody } from '@tasks/core/src/wire/inbox-message'
import { decodeReply, type Status } from '@tasks/core/src/wire/reply'
import { decodeTask } from '@tasks/core/src/wire/task-message'

const KINDS = Object.fromEntries(Object.entries(Kind).map(([name, kind]) => [kind, name]))

export function sayTask(body: Bytes, messageId: string): string {
  return reading(() => {
    const { id, path, attempt, resends } = decodeTask(body, messageId)
    return `task ${id}${path} attempt ${attempt}${resends > 0 ? `, sent again ${resends}` : ''}`
  })
}

export function sayInbox(body: Bytes): string {
  return reading(() => {
    const message = decodeInbox(body)
    switch (message.type) {
      case 'submit':
        return `submit ${message.id}, run ${message.run}`
      case 'outcomes':
        return `outcomes ${message.outcomes.map(({ id, path, attempt, value }) => `${id}${path} attempt ${attempt}: ${KINDS[value.kind]}`).join('; ')}`
      case 'running':
        return `running ${message.items.map(([id, , path, attempt]) => `${id}${path} attempt ${attempt}`).join('; ')}`
      case 'command':
        return `${message.command} ${message.id}`
      case 'query':
        return `query ${JSON.stringify(message.question)}`
      case 'event':
        return `event ${message.key} ${message.eventId} for ${message.pipelineId ?? 'the namespace'}`
      case 'wait':
      case 'unwait':
        return `${message.type} ${message.id}${message.path} at ${message.address}`
      case 'offer':
        return `offer ${message.address}@${message.number} to ${message.id}${message.path}`
      case 'taken':
        return `${message.id}${message.path} ${message.accepted ? 'takes' : 'declines'} ${message.address}@${message.number}`
    }
  })
}

export function saySend({ target, id, body }: Send): string {
  switch (target.to) {
    case 'task':
      return `→ queue ${target.queue}: ${sayTask(body, id)}`
    case 'inbox':
      return `→ inbox ${target.partition}: ${sayInbox(body)}`
    case 'events':
      return `→ events ${target.partition}: ${Buffer.from(body).toString()}`
    case 'reply':
      return `→ reply: ${sayReply(body)}`
    case 'dead':
      return `→ dead letters: ${target.letter.reason} ${sayTask(body, id)}`
  }
}

function sayReply(body: Bytes): string {
  return reading(() => {
    const reply = decodeReply(body)
    return reply.type === 'ended'
      ? `${reply.id}, run ${reply.run}, has ended: ${reply.status}`
      : `${reply.type}${'id' in reply ? ` ${reply.id}` : ''}`
  })
}

export interface EndedReply {
  readonly run: string
  readonly status: Status
  readonly bytes: string
}

/** If this tells of the end of a run: of which, and what. */
export function endedReplyOf({ target, body }: Send): EndedReply | undefined {
  if (target.to !== 'reply') return undefined
  const reply = decodeReply(body)
  return reply.type === 'ended' && reply.run !== ''
    ? { run: reply.run, status: reply.status, bytes: Buffer.from(reply.value.bytes).toString('latin1') }
    : undefined
}

/** If this tells who has submitted something that the id has another run: its own, and that one, or the code of a refusal. */
export function otherRunOf({ target, body }: Send): { id: string; run: string; actual: string } | undefined {
  const reply = target.to === 'reply' ? decodeReply(body) : undefined
  if (reply?.type === 'attached') return reply
  if (reply?.type !== 'refused') return undefined
  const { id, run, failure } = reply
  return { id, run, actual: (failure as { readonly code: string }).code }
}

/** Whether this submits something whose id was drawn for it. */
export function isDrawnSubmit({ target, body }: Send): boolean {
  const message = target.to === 'inbox' ? decodeInbox(body) : undefined
  return message?.type === 'submit' && message.run === message.id
}

/** If this asks what has become of runs: of which. */
export function runsAskedFor(message: InboxBody): readonly string[] {
  if (message.type !== 'query' || message.question.ask !== 'wait') return []
  return message.question.runs.map(([, run]) => String(run))
}

export interface PipelineState {
  readonly id: string
  readonly run: string
  readonly status: string
  readonly gen: number
  /** A lone task that had to be kept. */
  readonly lone: boolean
  readonly attempts: number
  readonly finishedAt: number
  readonly retentionMs: number
  /** It is being taken away. */
  readonly leaving: boolean
  /** Those that were obeyed. */
  readonly commands: readonly string[]
}

/** The state of a pipeline, if this is its row. */
export function pipelineStateOf(key: string, bytes: Bytes | null): PipelineState | undefined {
  if (!key.startsWith('M/') || bytes === null) return undefined
  const { commands = [], ...row } = decodeRow(key, bytes) as PipelineRow
  const obeyed = commands.filter((note) => typeof note === 'string' || note[1] === null)
  return { ...row, commands: obeyed.map((note) => (typeof note === 'string' ? note : note[0])) }
}

export interface Dispatched {
  readonly id: string
  /** Of its pipeline. */
  readonly key: string
  readonly isFinal: boolean
}

/** What a commit has sent to workers, by its windows; other pipelines than those of this commit are looked for in vain. */
export function dispatchesOf(rows: ReadonlyMap<string, Bytes | null>): Dispatched[] {
  const dispatched: Dispatched[] = []
  for (const [windowKey, bytes] of rows) {
    if (!windowKey.startsWith(WINDOWS) || bytes === null) continue
    for (const item of (decodeRow(windowKey, bytes) as WindowRow).items) {
      const key = pipelineKey(item.id)
      const pipeline = rows.get(key)
      if (pipeline === undefined || pipeline === null) continue
      const row = decodeRow(key, pipeline) as PipelineRow
      if (row.run === item.run)
        dispatched.push({ id: item.id, key, isFinal: 'path' in item && isFinal(rows, row, item.path) })
    }
  }
  return dispatched
}

/** Whether the entry that was sent is what its chain does at its end. */
function isFinal(rows: ReadonlyMap<string, Bytes | null>, row: PipelineRow, path: string): boolean {
  const { base } = splitHop(splitEntry(path)!.chain)
  if (parentOf(base).kind === 'root') return row.chain?.saved !== undefined
  const key = new RunKeys(row.id, row.gen).chain(base)
  const bytes = rows.get(key)
  return bytes !== undefined && bytes !== null && (decodeRow(key, bytes) as ChainRow).saved !== undefined
}

function reading(read: () => string): string {
  try {
    return read()
  } catch (error) {
    return `(unreadable: ${String(error)})`
  }
}
