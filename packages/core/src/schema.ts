// Standard Schema, version 1 (https://standardschema.dev): the interface that zod, valibot, arktype and others implement. Types only, so
// that no validator is a dependency.
import { TaskError } from './errors'
import { isThenable } from './thenable'

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export function isStandardSchema(x: unknown): x is StandardSchema {
  if ((typeof x !== 'object' && typeof x !== 'function') || x === null) return false
  const standard = (x as Partial<StandardSchema>)['~standard']
  return standard?.version === 1 && typeof standard.validate === 'function'
}

/**
 * Checks the arguments of a task, and gives what the schemas make of them (defaults, conversions). One schema for each argument; a
 * missing argument is checked as `undefined`, arguments without a schema pass. Synchronous if all schemas are.
 * @throws TaskError TASKS_SCHEMA, not retryable, naming the argument and the path in it; `details.issues` has all of them
 */
export function validateArguments(
  schemas: readonly (StandardSchema | undefined)[],
  args: readonly unknown[],
  taskName: string,
): unknown[] | Promise<unknown[]> {
  const results = schemas.map((schema, i) => schema?.['~standard'].validate(args[i]))
  if (!results.some(isThenable))
    return collect(results as readonly (StandardResult<unknown> | undefined)[], args, taskName)
  return Promise.all(results.map((result) => Promise.resolve(result))).then((settled) =>
    collect(settled, args, taskName),
  )
}

/**
 * Checks a pipeline's state as a task finds it. What the schema makes of it is not taken: a state is changed by tasks that set values.
 * @throws TaskError TASKS_SCHEMA, not retryable, naming the path; `details.issues` has all issues
 */
export function validateState(schema: StandardSchema, state: unknown, taskName: string): void | Promise<void> {
  const refuse = ({ issues }: StandardResult<unknown>): void => {
    if (issues === undefined || issues.length === 0) return
    const all = issues.map((issue) => ({ path: pathOf(issue), message: issue.message }))
    throw refusal(taskName, 'the pipeline state', all)
  }
  const result = schema['~standard'].validate(state)
  return isThenable(result) ? Promise.resolve(result).then(refuse) : refuse(result as StandardResult<unknown>)
}

function collect(
  results: readonly (StandardResult<unknown> | undefined)[],
  args: readonly unknown[],
  taskName: string,
): unknown[] {
  const checked = [...args]
  const issues: { argument: number; path: string; message: string }[] = []
  for (const [i, result] of results.entries()) {
    if (result === undefined) continue
    if (result.issues !== undefined) {
      for (const issue of result.issues) issues.push({ argument: i + 1, path: pathOf(issue), message: issue.message })
    } else if (i < args.length || result.value !== undefined) checked[i] = result.value
  }
  const first = issues[0]
  if (first === undefined) return checked
  throw refusal(taskName, `argument ${first.argument}`, issues)
}

function refusal(
  taskName: string,
  what: string,
  issues: readonly { readonly path: string; readonly message: string }[],
): TaskError {
  const { path, message } = issues[0]!
  const where = path === '' ? what : `${what}, at ${path}`
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  return new TaskError('TASKS_SCHEMA', `task "${taskName}": ${where}: ${message}${more}`, {
    details: { issues: issues.slice(0, 20) },
  })
}

function pathOf(issue: StandardIssue): string {
  let path = ''
  for (const segment of issue.path ?? []) {
    const key = typeof segment === 'object' ? segment.key : segment
    if (typeof key === 'number' || (typeof key === 'string' && /^\d+$/.test(key))) path += `[${key}]`
    else path += path === '' ? String(key) : `.${String(key)}`
  }
  return path
}
