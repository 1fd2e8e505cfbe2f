// Definitions as they are kept: a frame's pages are rows of its own, or live in a blob.
import type { Definition } from '../definition'
import { TaskError } from '../errors'
import type { PackedDefinition } from '../wire/packed-definition'
import type { Draft, RunView } from './draft'
import { blobPageKey, blobPrefix } from './row-keys'
import { DefinitionPage, type DefinitionSource } from './rows'

export function sourceOf(packed: PackedDefinition): DefinitionSource {
  return packed.blob === undefined ? { pages: packed.pageCount } : { pages: packed.pageCount, blob: packed.blob }
}

/** `frame` is a path with its hops. */
export function readPage(
  draft: Draft,
  run: RunView,
  frame: string,
  source: DefinitionSource,
  number: number,
): DefinitionPage {
  const key = source.blob === undefined ? run.keys.page(frame, number) : blobKey(run, source.blob, number)
  const page = draft.get<DefinitionPage>(key)
  if (page !== undefined) return page
  throw new TaskError('TASKS_STORE_CORRUPT', `page ${number} of the definition of "${run.row.id}${frame}" is gone`)
}

const blobKey = (run: RunView, blob: string, number: number): string =>
  blobPageKey(blobPrefix(run.row.id, run.row.run) + blob, number)

/** A definition that has arrived. */
export interface ArrivedPages {
  readonly document: Definition
  /** None if they are in a blob. */
  readonly pages: readonly DefinitionPage[]
}

/** Opens a definition that a client has submitted, or a task has returned. */
export function openPages(draft: Draft, run: RunView, packed: PackedDefinition): ArrivedPages {
  const pages = packed.pages.map((bytes) => new DefinitionPage(bytes))
  const first = packed.blob === undefined ? pages[0] : draft.get<DefinitionPage>(blobKey(run, packed.blob, 0))
  if (first === undefined) throw new TaskError('TASKS_STORE_CORRUPT', `the definition of "${run.row.id}" is gone`)
  return { document: first.definition(), pages }
}

export function writePages(draft: Draft, run: RunView, frame: string, { pages }: ArrivedPages): void {
  pages.forEach((page, number) => draft.put(run.keys.page(frame, number), page))
}

/** Pages in a blob go with the run's other blobs. */
export function deletePages(draft: Draft, run: RunView, frame: string, source: DefinitionSource | undefined): void {
  if (source === undefined || source.blob !== undefined) return
  for (let number = 0; number < source.pages; number++) draft.delete(run.keys.page(frame, number))
}

/** A chain other than the root has a finally: if the pipeline is cancelled, it must run. */
export function noteFinally(draft: Draft, run: RunView, base: string): void {
  run.row.finals++
  draft.put(run.keys.final(base), { path: base })
}

export function forgetFinally(draft: Draft, run: RunView, base: string): void {
  run.row.finals--
  draft.delete(run.keys.final(base))
}
