/** Whether `x` is to be waited for: a promise, of whatever library. */
export function isThenable(x: unknown): x is PromiseLike<unknown> {
  return typeof x === 'object' && x !== null && typeof (x as { readonly then?: unknown }).then === 'function'
}
