// What one entry hands to the next, and what a failure is: in the plainest form, in which an oracle's and an engine's can be compared.

export type Given =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'one'; readonly value: unknown }
  /** As many arguments. */
  | { readonly kind: 'several'; readonly values: readonly unknown[] }

export const NOTHING: Given = { kind: 'nothing' }

/** A task's failure, or that of a group: what its chains failed with, in their order, the first hundred of them. */
export type Failed = (
  | { readonly failed: string; readonly task: string | undefined; readonly attempt: number }
  | { readonly failed: readonly Cause[]; readonly count: number }
) & {
  /** What failed after it, at the ends of pipelines. */
  readonly suppressed?: readonly Failed[]
}

export type Cause = Failed & { readonly index: number }

export const MOST_CAUSES = 100

export function argumentsOf(given: Given): readonly unknown[] {
  return given.kind === 'nothing' ? [] : given.kind === 'one' ? [given.value] : given.values
}

/** As the result of a pipeline, or in the list of a group. */
export function resultOf(given: Given): unknown {
  return given.kind === 'nothing' ? null : given.kind === 'one' ? given.value : given.values
}

/** What a function or a client was given, in plain form: errors are failures, and nothing is null. */
export function plainOf(value: unknown): unknown {
  if (value instanceof Error) return failedOf(value)
  return Array.isArray(value) ? value.map(plainOf) : (value ?? null)
}

/** For who must not care: lists in one order, whatever they came in. */
export function inAnyOrder(value: unknown): unknown {
  if (Array.isArray(value)) {
    const keyed = value.map(inAnyOrder).map((item) => [JSON.stringify(item) ?? '', item] as const)
    return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, item]) => item)
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inAnyOrder(item)]))
}

/** The failure that an error of the library tells of. Of a task that hung it says only that. */
export function failedOf(error: LibraryError): Failed {
  const { code, message, errors, errorCount, task, suppressed } = error
  const after = suppressed === undefined ? {} : { suppressed: suppressed.map(failedOf) }
  if (errors !== undefined) {
    const causes = errors.map((cause) => ({ ...failedOf(cause), index: cause.index ?? -1 }))
    return { failed: causes, count: errorCount ?? -1, ...after }
  }
  const failed = code === 'TASKS_TASK_FAILED' ? message : (code ?? message)
  return { failed, task: task?.name, attempt: task?.attempt ?? 0, ...after }
}

interface LibraryError extends Error {
  readonly code?: string
  readonly errors?: readonly LibraryError[] | undefined
  readonly errorCount?: number | undefined
  readonly index?: number | undefined
  readonly task?: { readonly name: string; readonly attempt: number } | undefined
  readonly suppressed?: readonly LibraryError[] | undefined
}
