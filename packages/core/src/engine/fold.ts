// Folds a batch through the reducer. What a step throws decides: a row that is not loaded is loaded and the batch folded again; an
// input that cannot be folded is left out, and the batch folded again without it.
import type { RowKey } from '../transport'
import type { Arrived } from './arrivals'
import { MissingRow, type Dispatch, type Draft } from './draft'
import { needs, step } from './reducer'
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
  /** Those of the dispatches that need nothing but a message of the inbox: the first of pipelines that are submitted. */
  readonly first: readonly Dispatch[]
}

/** Stays synchronous when every row is known. */
export function fold(cache: RowCache, newDraft: () => Draft, batch: readonly Arrived[]): Folded | Promise<Folded> {
  const missing: RowKey[] = []
  for (const { input } of batch) for (const key of needs(input)) if (cache.get(key) === undefined) missing.push(key)
  const loading = missing.length === 0 ? undefined : cache.load(missing)
  return loading === undefined
    ? foldLoaded(cache, newDraft, batch, [])
    : loading.then(() => foldLoaded(cache, newDraft, batch, []))
}

function foldLoaded(
  cache: RowCache,
  newDraft: () => Draft,
  batch: readonly Arrived[],
  known: readonly Poison[],
): Folded | Promise<Folded> {
  const draft = newDraft()
  const missing: RowKey[] = []
  const poison: Poison[] = [...known]
  const first: Dispatch[] = []
  for (const arrived of batch) {
    if (known.some((bad) => bad.arrived === arrived)) continue
    const before = draft.dispatches.length
    try {
      step(draft, arrived.input)
      if (arrived.input.type === 'submit' && arrived.message !== undefined)
        for (let at = before; at < draft.dispatches.length; at++) first.push(draft.dispatches[at]!)
    } catch (error) {
      if (error instanceof MissingRow) for (const key of error.keys) missing.push(key)
      // After a miss the draft is only good for finding further misses.
      else if (missing.length === 0) poison.push({ arrived, error })
    }
  }
  if (missing.length > 0) return cache.load(missing)!.then(() => foldLoaded(cache, newDraft, batch, known))
  // What a poisoned input has half done must not be committed.
  if (poison.length > known.length) return foldLoaded(cache, newDraft, batch, poison)
  return { draft, batch, poison, first }
}
