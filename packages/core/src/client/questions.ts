// What is asked about pipelines: of committed rows where the transport lets a client read them, so that no worker need be up; else of their owners.
import { compareUtf8 } from '../adapter/key-order'
import type { Clock } from '../clock'
import { answerTo, openAnswer } from '../engine/answers'
import type { PipelineDescription } from '../engine/describe'
import type { Listed } from '../engine/listing'
import { splitHop } from '../engine/paths'
import type { PipelineStatus } from '../engine/queries'
import type { ReturnedPipeline } from '../engine/returned-pipelines'
import { pipelineKey } from '../engine/row-keys'
import { TaskError } from '../errors'
import { checkId, escapeId, partitionOf, unescapeId } from '../ids'
import { badOption, checkCount, checkKeys } from '../option-checks'
import type { Space } from '../transport'
import type { ListPosition, Look, MeantRun } from '../wire/inbox-message'
import { pipelineStatuses, type Status } from '../wire/reply'
import type { Replies } from './replies'

export interface ListOptions {
  readonly status?: Exclude<Status, 'PENDING'>
  /** Of the first task: its display name, or else the task's. */
  readonly name?: string
  /** Only those created at this time (a Date, or ms since the epoch) or later. */
  readonly since?: Date | number
  /** At most, over all partitions: 1 to 10 000. Default 100. */
  readonly limit?: number
  /** Only those whose id comes after this one: the `after` of the page before. */
  readonly after?: string
  /**
   * Each is followed by what its tasks have returned: by pipelines that run, and by those that failed and are kept for a retry; where each one returned
   * the next in tail position, by the latest. Of a run that is COMPLETED or CANCELLED only the one that ended in its place is known. Default false.
   */
  readonly children?: boolean
}

export interface PipelineList<Found = PipelineStatus> {
  /** In order of their ids; with `children`, of those of the roots. */
  readonly pipelines: readonly Found[]
  /** Partitions whose owner did not answer, of a transport where only owners can: what they hold is not in the list. */
  readonly incomplete: boolean
  /** If there may be more: to be given as `after`, with the same `children`. */
  readonly after?: string
}

export interface DescribeOptions {
  /** The most chains that are told of each group, 1 to 1 000. Default 10. */
  readonly maxChains?: number
  /** The most entries that are told of each chain, 1 to 1 000. Default 50. */
  readonly maxEntries?: number
  /** Also tell 100 failures of a group, of chains after this index; -1 for the first. */
  readonly failuresAfter?: number
  /** The task id of that group. Default: the one whose failure the run has ended with. */
  readonly failuresOf?: string
}

/** Who answers for the partitions of a namespace. */
export interface Owners {
  readonly partitions: number
  /** Partitions whose owner answered in time. */
  readonly answering: number
  /** How long the slowest answer took; 0 without one. */
  readonly slowestMs: number
}

const MOST_LISTED = 10_000
const MOST_DESCRIBED = 1_000

interface Connected {
  readonly space: Space
  readonly replies: Replies
}

export class Questions {
  readonly #connect: () => Promise<Connected>
  readonly #clock: Clock
  readonly #answerMs: number

  constructor(connect: () => Promise<Connected>, clock: Clock, answerMs: number) {
    this.#connect = connect
    this.#clock = clock
    this.#answerMs = answerMs
  }

  async #ask({ space, replies }: Connected, partition: number, question: Look): Promise<unknown> {
    const { reader, blobs } = space
    if (reader === undefined) return openAnswer(await replies.ask(partition, question, this.#answerMs))
    const source = {
      load: (keys: readonly string[]) => reader.load(partition, keys),
      scan: (prefix: string, after: string | undefined, limit: number) => reader.scan(partition, prefix, after, limit),
      blobs,
    }
    return answerTo(source, question, Infinity)
  }

  async status(meant: MeantRun): Promise<PipelineStatus | undefined> {
    return (await this.#askOf(meant.id, { ask: 'status', ...meant })) as PipelineStatus | undefined
  }

  async describe(meant: MeantRun, options: DescribeOptions): Promise<PipelineDescription | undefined> {
    const { id } = meant
    checkKeys('describe', options, ['maxChains', 'maxEntries', 'failuresAfter', 'failuresOf'])
    const {
      maxChains = 10,
      maxEntries = 50,
      failuresOf,
      failuresAfter = failuresOf === undefined ? undefined : -1,
    } = options
    checkCount('maxChains', maxChains, MOST_DESCRIBED)
    checkCount('maxEntries', maxEntries, MOST_DESCRIBED)
    if (failuresAfter !== undefined && !(Number.isSafeInteger(failuresAfter) && failuresAfter >= -1))
      throw badOption('failuresAfter', 'the index of a chain, or -1', failuresAfter)
    if (failuresOf !== undefined && !failuresOf.startsWith(`${id}/`) && !failuresOf.startsWith(`${id}~`))
      throw badOption('failuresOf', `the task id of a group of "${id}"`, failuresOf)
    return (await this.#askOf(id, {
      ask: 'describe',
      ...meant,
      maxChains,
      maxEntries,
      ...(failuresOf === undefined ? {} : { failuresOf }),
      ...(failuresAfter === undefined ? {} : { failuresAfter }),
    })) as PipelineDescription | undefined
  }

  /** Undefined if there is no such pipeline. */
  async #askOf(id: string, question: Look): Promise<unknown> {
    checkId('pipeline id', id)
    const connected = await this.#connect()
    return (await this.#ask(connected, partitionOf(id, connected.space.partitions), question)) ?? undefined
  }

  async list(options: ListOptions): Promise<PipelineList<Found>> {
    checkKeys('list', options, ['status', 'name', 'since', 'limit', 'after', 'children'])
    const { limit = 100, status, name, since, after, children = false } = options
    checkCount('limit', limit, MOST_LISTED)
    if (status !== undefined && !pipelineStatuses.includes(status))
      throw badOption('status', `one of ${pipelineStatuses.join(', ')}`, status)
    if (name !== undefined && typeof name !== 'string') throw badOption('name', 'a string', name)
    if (since !== undefined && !Number.isFinite(Number(since)))
      throw badOption('since', 'a Date or ms since the epoch', since)
    if (typeof children !== 'boolean') throw badOption('children', 'true or false', children)
    const question = {
      limit,
      ...(children ? { returned: 1 as const } : {}),
      ...(status === undefined ? {} : { status }),
      ...(name === undefined ? {} : { name }),
      ...(since === undefined ? {} : { since: Number(since) }),
      ...(after === undefined
        ? {}
        : children
          ? positionIn(after)
          : { after: pipelineKey(checkId('pipeline id', after)) }),
    }
    const connected = await this.#connect()
    const lists = await Promise.all(
      partitionsOf(connected).map((partition) =>
        unlessSilent(this.#listOf(connected, partition, { ask: 'list', ...question })),
      ),
    )
    const incomplete = lists.includes(undefined)
    const placed = lists.flatMap((list) => (list ?? []).map((found) => [positionOf(found), found] as const))
    placed.sort(([a], [b]) => comparePositions(a, b))
    const pipelines = placed.slice(0, limit).map(([, pipeline]) => pipeline)
    if (pipelines.length < limit) return { pipelines, incomplete }
    const last = pipelines.at(-1)!
    return { pipelines, incomplete, after: children ? cursorOf(last) : last.id }
  }

  /** As many of one partition as the whole list may have: an owner's answer may be cut where it is too long for a message, or for a look. */
  async #listOf(
    connected: Connected,
    partition: number,
    question: Look & { readonly ask: 'list' },
  ): Promise<readonly Found[]> {
    const pipelines: Found[] = []
    for (let asked = question; ;) {
      const { pipelines: more, next } = (await this.#ask(connected, partition, asked)) as Listed
      pipelines.push(...more)
      const left = question.limit - pipelines.length
      if (next === undefined || left <= 0) return pipelines
      const { within: _, ...rest } = question
      asked = { ...rest, ...next, limit: left }
    }
  }

  async owners(): Promise<Owners> {
    const connected = await this.#connect()
    const { space, replies } = connected
    const since = this.#clock.monotonic()
    let answering = 0
    let slowestMs = 0
    const ask = async (partition: number): Promise<void> => {
      const answer = await unlessSilent(replies.ask(partition, { ask: 'list', limit: 1 }, this.#answerMs))
      if (answer === undefined) return
      answering++
      slowestMs = this.#clock.monotonic() - since
    }
    await Promise.all(partitionsOf(connected).map(ask))
    return { partitions: space.partitions, answering, slowestMs }
  }
}

type Found = PipelineStatus | ReturnedPipeline

// ---- Where a list goes on: a cursor is the escaped id of the root, which has no slash, and, after one, the place of what was returned within it. ----

function positionOf(found: Found): ListPosition {
  if (!('rootId' in found)) return { after: pipelineKey(found.id) }
  const { id, rootId } = found
  return { after: pipelineKey(rootId), within: splitHop(id.slice(rootId.length)).base }
}

function comparePositions(a: ListPosition, b: ListPosition): number {
  const order = compareUtf8(a.after, b.after)
  if (order !== 0 || a.within === b.within) return order
  if (a.within === undefined || b.within === undefined) return a.within === undefined ? -1 : 1
  return compareUtf8(a.within, b.within)
}

function cursorOf(found: Found): string {
  const { within } = positionOf(found)
  return 'rootId' in found ? `${escapeId(found.rootId)}/${within}` : escapeId(found.id)
}

function positionIn(cursor: string): ListPosition {
  if (typeof cursor !== 'string') throw badOption('after', 'the `after` of the page before', cursor)
  const slash = cursor.indexOf('/')
  const id = unescapeId(slash < 0 ? cursor : cursor.slice(0, slash))
  const after = pipelineKey(checkId('pipeline id', id))
  return slash < 0 ? { after } : { after, within: cursor.slice(slash + 1) }
}

const partitionsOf = ({ space }: Connected): readonly number[] =>
  Array.from({ length: space.partitions }, (_, partition) => partition)

/** Undefined if no owner answered in time. */
async function unlessSilent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (TaskError.is(error) && error.code === 'TASKS_UNAVAILABLE') return undefined
    throw error
  }
}
