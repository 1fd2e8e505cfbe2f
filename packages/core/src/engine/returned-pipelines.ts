// Pipelines that tasks have returned, as far as rows tell of them. They have no row by which they could be looked up: in tail position one has its caller's
// place, the root's row or that of a chain; elsewhere it is a chain with a definition of its own. So there are those that run, the latest of each place, and
// those that failed and may be needed for a retry. Of a run that has ended otherwise only the one in the root's place is known, by what is kept of its entries.
import { nameOf } from '../definition'
import type { RowKey } from '../transport'
import type { Status } from '../wire/reply'
import { forEachRow, type Draft, type RunView } from './draft'
import { hopPath, parentFrame, ROOT, splitEntry, splitHop } from './paths'
import { placeOf, readChain, type Place } from './places'
import { decodeRow } from './row-codec'
import { blobPrefix, RunKeys } from './row-keys'
import { looking, type RowSource } from './row-source'
import { DefinitionPage, isOver, type ChainRow, type DefinitionSource, type KeptTree, type PipelineRow } from './rows'
import { beginningOf } from './trail'

/** A pipeline that a task has returned: part of the one that was submitted, and steered by its id. */
export interface ReturnedPipeline {
  /** Its own: `taskContext().pipelineId`. */
  readonly id: string
  /** Of the pipeline that was submitted. */
  readonly rootId: string
  /** Of the pipeline whose task returned it. */
  readonly parentId: string
  /** Of the root. */
  readonly run: string
  /** Of its first task: its display name, or else the task's; as far as that is known. */
  readonly name?: string
  /** While it runs, that of the root. */
  readonly status: Status
  /** When its task returned it, ms since the epoch; of one that has done a hundred entries it is not known any more. */
  readonly createdAt?: number
  /** If it ended with the root. */
  readonly finishedAt?: number
  readonly meta?: Readonly<Record<string, unknown>>
}

/** The pipeline that has the root's place, if a task has returned one there. */
export async function ownFrame(source: RowSource, row: PipelineRow): Promise<ReturnedPipeline | undefined> {
  const { chain, tree, status } = row
  const ended = isOver(status) ? { finishedAt: row.finishedAt } : {}
  if (chain === undefined) {
    if (tree === undefined || tree.hops === 0) return undefined
    return { ...returned(row, hopPath(ROOT, tree.hops), status, tree.trail, keptName(tree)), ...ended }
  }
  if (chain.hop === 0) return undefined
  const [name] = await namesOf(source, row, [[ROOT, chain]])
  return { ...returned(row, hopPath(ROOT, chain.hop), status, chain.trail, name), ...ended }
}

/** Whether there may be one with this status. */
export const mayHaveReturned = ({ status, litter }: PipelineRow, wanted: string | undefined): boolean =>
  wanted === undefined || wanted === status || (wanted === 'FAILED' && litter)

/** At so many chains below the root after this one, by their places: undefined where a chain is no pipeline. Fewer if there are no more. */
export async function returnedBelow(
  source: RowSource,
  row: PipelineRow,
  after: string | undefined,
  limit: number,
): Promise<readonly (readonly [place: string, found: ReturnedPipeline | undefined])[]> {
  if (!hasBelow(row)) return []
  const keys = new RunKeys(row.id, row.gen)
  const prefix = keys.chain('')
  const from = after === undefined || after === ROOT ? undefined : keys.chain(after)
  const chains = (await source.scan(prefix, from, limit)).map(([key, bytes]): Chain => [
    key.slice(prefix.length),
    decodeRow(key, bytes) as ChainRow,
  ])
  const frames = chains.filter(([, { definition }]) => definition !== undefined)
  const names = await namesOf(source, row, frames)
  const failed = row.litter ? await failedOf(source, row, frames) : undefined
  const found = new Map(
    frames.map(([base, chain], index): [string, ReturnedPipeline] => {
      const status = failed?.has(base) ? 'FAILED' : row.status
      return [base, returned(row, hopPath(base, chain.hop), status, chain.trail, names[index])]
    }),
  )
  return chains.map(([base]) => [base, found.get(base)])
}

type Chain = readonly [base: string, row: ChainRow]

/** Whether there may be chains with a row below that of the root. */
function hasBelow({ chain, litter }: PipelineRow): boolean {
  if (chain === undefined) return false
  const phase = chain.saved?.phase ?? chain.phase
  return litter || phase === 'group' || phase === 'frame'
}

function returned(
  { id, run, createdAt, meta }: PipelineRow,
  frame: string,
  status: Status,
  trail: string | undefined,
  name: string | undefined,
): ReturnedPipeline {
  const age = beginningOf(trail)
  return {
    id: id + frame,
    rootId: id,
    parentId: id + parentFrame(frame),
    run,
    ...(name === undefined ? {} : { name }),
    status,
    ...(age === undefined ? {} : { createdAt: createdAt + age }),
    ...(meta === undefined ? {} : { meta }),
  }
}

// ---- Names ---------------------------------------------------------------------------------------------------------

/** Undefined where a pipeline has gone on to another while it was looked at, and its definition with it. */
async function namesOf(
  source: RowSource,
  row: PipelineRow,
  frames: readonly Chain[],
): Promise<readonly (string | undefined)[]> {
  const keys = new RunKeys(row.id, row.gen)
  const blobs = blobPrefix(row.id, row.run)
  const ofRows: RowKey[] = []
  for (const [base, { hop, definition }] of frames)
    if (definition!.blob === undefined) ofRows.push(keys.page(hopPath(base, hop), 0))
  const loaded = ofRows.length === 0 ? [] : await source.load(ofRows)
  let next = 0
  const pages = await Promise.all(
    frames.map(async ([, { definition }]) => {
      const { blob }: DefinitionSource = definition!
      return blob === undefined ? loaded[next++] : source.blobs.get(blobs + blob, 0)
    }),
  )
  return pages.map((bytes) => {
    if (bytes === undefined) return undefined
    try {
      const document = new DefinitionPage(bytes).definition()
      return nameOf(document, document.chain)
    } catch {
      // One that cannot be read is no reason to list nothing.
      return undefined
    }
  })
}

function keptName({ entries }: KeptTree): string | undefined {
  for (const [kind, name] of entries) {
    if (kind === 't' || kind === 'h') return name
    // Of what is within it nothing is kept.
    if (kind === 'g' || kind === 'e') return undefined
  }
  return undefined
}

// ---- Failures ------------------------------------------------------------------------------------------------------

/** Those of them that nobody waits for any more: they have failed, and were kept for a retry. */
function failedOf(source: RowSource, root: PipelineRow, frames: readonly Chain[]): Promise<ReadonlySet<string>> {
  return looking(source, (draft) => {
    const failed = new Set<string>()
    const run = draft.run(root.id)
    if (run === undefined || run.row.gen !== root.gen) return failed
    const waited = new Waited(draft, run)
    forEachRow(frames, ([base, { phase }]) => {
      // Finallys of a run that is cancelled move the chains above: then only what has failed itself is known.
      const hasFailed = run.row.finishing ? phase === 'failed' : !waited.for(placeOf(base))
      if (hasFailed) failed.add(base)
    })
    return failed
  })
}

/** Which chains those above them wait for, up to the root. */
class Waited {
  readonly #known = new Map<string, boolean>()
  readonly #draft: Draft
  readonly #run: RunView

  constructor(draft: Draft, run: RunView) {
    this.#draft = draft
    this.#run = run
  }

  for(place: Place): boolean {
    let known = this.#known.get(place.base)
    if (known === undefined) this.#known.set(place.base, (known = this.#find(place)))
    return known
  }

  #find(place: Place): boolean {
    const { parent } = place
    if (parent.kind === 'root') return !isOver(this.#run.row.status)
    const { chain, index } = splitEntry(parent.entry)!
    const { base, hop } = splitHop(chain)
    const caller = placeOf(base)
    if (!this.for(caller)) return false
    const row = readChain(this.#draft, this.#run, caller)
    if (row === undefined || row.hop !== hop || row.at !== index || row.phase !== parent.kind) return false
    // Of a group's chain its bit says whether it has ended.
    return parent.kind === 'frame' || readChain(this.#draft, this.#run, place) !== undefined
  }
}
