// Definitions as they are kept: a frame's pages are rows of its own, or live in a blob.
import type { PackedDefinition } from '../wire'
import type { Draft, RunView } from './draft'
import { blobPageKey, blobPrefix, DefinitionPage, type DefinitionSource } from './rows'

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
  const key =
    source.blob === undefined
      ? run.keys.page(frame, number)
      : blobPageKey(blobPrefix(run.row.id, run.row.run) + source.blob, number)
  const page = draft.get<DefinitionPage>(key)
  if (page === undefined) throw new Error(`page ${number} of the definition of ${run.row.id}${frame} is gone`)
  return page
}

export function writePages(draft: Draft, run: RunView, frame: string, packed: PackedDefinition): void {
  packed.pages.forEach((bytes, number) => draft.put(run.keys.page(frame, number), new DefinitionPage(bytes)))
}

/** Pages in a blob go with the run's other blobs. */
export function deletePages(draft: Draft, run: RunView, frame: string, source: DefinitionSource | undefined): void {
  if (source === undefined || source.blob !== undefined) return
  for (let number = 0; number < source.pages; number++) draft.delete(run.keys.page(frame, number))
}
