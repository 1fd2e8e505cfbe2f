const SPREAD = Symbol.for('@tasks/core/Spread')

/** Several values as one result: what follows gets them as that many arguments. Made by `spread`. */
export interface Spread<Values extends readonly unknown[] = readonly unknown[]> {
  readonly [SPREAD_VALUES]: true
  readonly values: Values
}

declare const SPREAD_VALUES: unique symbol

class SpreadValue {
  readonly values: readonly unknown[]

  constructor(values: readonly unknown[]) {
    this.values = values
  }

  static {
    Object.defineProperty(this.prototype, SPREAD, { value: true })
  }
}

/**
 * Return this from a task to pass several arguments on: `return spread(first, last)`. An array is one argument.
 * As the result of a pipeline or of a chain of a group it is an array.
 */
export function spread<Values extends readonly unknown[]>(...values: Values): Spread<Values> {
  return new SpreadValue(values) as unknown as Spread<Values>
}

/** Whether `x` was made by `spread`, of this copy of the library or another. */
export function isSpread(x: unknown): x is Spread {
  return typeof x === 'object' && x !== null && (x as Record<symbol, unknown>)[SPREAD] === true
}
