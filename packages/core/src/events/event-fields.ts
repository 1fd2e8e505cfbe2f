// What `match` can look at: of an event's value that which is plain, by path, beside the value itself, which the engine does not open.
import type { Scalar } from '../definition'
import { TaskError } from '../errors'
import { badOption } from '../option-checks'

/** So much of a value, so deep, and no longer texts. */
export const MOST_FIELDS = 100
const MOST_DEPTH = 5
export const MOST_TEXT = 256

export function fieldsOf(value: unknown): Readonly<Record<string, Scalar>> | undefined {
  const fields: Record<string, Scalar> = {}
  let left = MOST_FIELDS
  const visit = (x: unknown, path: string, depth: number): void => {
    if (isScalar(x)) {
      if (left-- > 0) fields[path] = x
    } else if (typeof x === 'object' && x !== null && depth < MOST_DEPTH) {
      for (const [name, inner] of Object.entries(x)) {
        if (left <= 0) return
        visit(inner, path === '' ? name : `${path}.${name}`, depth + 1)
      }
    }
  }
  visit(value, '', 0)
  return left === MOST_FIELDS ? undefined : fields
}

/** What can be compared. */
export function isScalar(x: unknown): x is Scalar {
  if (typeof x === 'string') return x.length <= MOST_TEXT
  return x === null || typeof x === 'boolean' || (typeof x === 'number' && Number.isFinite(x))
}

export function checkFields(fields: Readonly<Record<string, Scalar>>): Readonly<Record<string, Scalar>> {
  if (typeof fields !== 'object' || fields === null || !Object.values(fields).every(isScalar))
    throw badOption('fields', 'an object of short texts, numbers, booleans and nulls', fields)
  if (Object.keys(fields).length > MOST_FIELDS)
    throw new TaskError('TASKS_OPTIONS', `fields: at most ${MOST_FIELDS}, not ${Object.keys(fields).length}`)
  return fields
}
