// What tasks share beside results: values by key. Changes of it are merged; to none is a change too.

/** Null: taken away. */
export type State = ReadonlyMap<string, string | null>

export const NO_STATE: State = new Map()

export const over = (base: State, changes: State): State =>
  changes.size === 0 ? base : base.size === 0 ? changes : new Map([...base, ...changes])

/** What was changed side by side; undefined if one key was given different values. */
export function together(all: readonly State[]): State | undefined {
  const merged = new Map<string, string | null>()
  for (const [key, value] of all.flatMap((changes) => [...changes])) {
    if (merged.has(key) && merged.get(key) !== value) return undefined
    merged.set(key, value)
  }
  return merged
}

/** As a task sees it. */
export function seen(state: State): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...state].filter(([, value]) => value !== null))
}
