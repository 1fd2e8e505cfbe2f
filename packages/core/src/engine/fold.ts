// Folds a batch through the reducer. What a step throws decides: a row that is not loaded is loaded and the batch folded again; an
// input that cannot be folded is left out, and the batch folded again without it.
//
// A submit whose id was drawn for it is most likely new. Where commits can make sure of it (`assumes`), its row is not read before: it is taken to be absent.
import type { RowKey } from '../transport'
import type { Arrived } from './arrivals'
import { MissingRow, type Dispatch, type Draft } from './draft'
import { needs, newRow, step } from './reducer'
import type { RowCache } from './row-cache'

/** An input that no step could take. */
export interface Poison {
  readonly arrived: Arrived
  readonly error: unknown
}

export interface Folded {
  readonly draft: Draft
  readonly batch: readonly Arrived[]
  readonly poison: readonly Poison[]
  /** Those of the dispatches that need nothing but a submit: the first of pipelines. */
  readonly first: readonly Dispatch[]
}

export interface FoldOptions {
  readonly cache: RowCache
  readonly newDraft: () => Draft
  readonly assumes: boolean
}

/** Stays synchronous when every row is known. */
export function fold(options: FoldOptions, batch: readonly Arrived[]): Folded | Promise<Folded> {
  const { cache, assumes } = options
  const missing: RowKey[] = []
  for (const { input } of batch) {
    const assumed = assumes ? newRow(input) : undefined
    for (const key of needs(input)) if (key !== assumed && cache.get(key) === undefined) missing.push(key)
  }
  const loading = missing.length === 0 ? undefined : cache.load(missing)
  return loading === undefined ? foldLoaded(options, batch, []) : loading.then(() => foldLoaded(options, batch, []))
}

function foldLoaded(
  options: FoldOptions,
  batch: readonly Arrived[],
  known: readonly Poison[],
): Folded | Promise<Folded> {
  const { cache, newDraft, assumes } = options
  const draft = newDraft()
  if (assumes) {
    for (const { input } of batch) {
      const key = newRow(input)
      if (key !== undefined && cache.get(key) === undefined) draft.assumed.add(key)
    }
  }
  const missing: RowKey[] = []
  const poison: Poison[] = [...known]
  const first: Dispatch[] = []
  for (const arrived of batch) {
    if (known.some((bad) => bad.arrived === arrived)) continue
    const before = draft.dispatches.length
    try {
      step(draft, arrived.input)
      if (arrived.input.type === 'submit')
        for (let at = before; at < draft.dispatches.length; at++) first.push(draft.dispatches[at]!)
    } catch (error) {
      if (error instanceof MissingRow) for (const key of error.keys) missing.push(key)
      // After a miss the draft is only good for finding further misses.
      else if (missing.length === 0) {
        const assumed = newRow(arrived.input)
        // One that came before, whose definition went with its run, needs no definition: its row is read before it is given up.
        if (assumed !== undefined && draft.assumed.has(assumed)) missing.push(assumed)
        else poison.push({ arrived, error })
      }
    }
  }
  if (missing.length > 0) return cache.load(missing)!.then(() => foldLoaded(options, batch, known))
  // What a poisoned input has half done must not be committed.
  if (poison.length > known.length) return foldLoaded(options, batch, poison)
  return { draft, batch, poison, first }
}
