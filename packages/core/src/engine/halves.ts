// How an input is made smaller that is too large for one commit, or holds something that cannot be folded.
import type { Input } from './input'

/** Many things that have nothing to do with each other, in one input. */
export function isBundle(input: Input): boolean {
  const { type } = input
  if (type === 'outcomes') return input.outcomes.length > 1
  if (type === 'resend') return input.items.length > 1
  if (type === 'woken') return input.waiters.length > 1
  return type === 'requeue' && input.dispatches.length > 1
}

/** The same in two steps. */
export function halvesOf(input: Input): readonly [Input, Input] | undefined {
  if (input.type === 'outcomes') return halved(input.outcomes, (outcomes) => ({ ...input, outcomes }))
  if (input.type === 'resend') return halved(input.items, (items) => ({ ...input, items }))
  if (input.type === 'requeue') return halved(input.dispatches, (dispatches) => ({ ...input, dispatches }))
  if (input.type === 'released')
    return halved(input.paths, (paths, isLast) => ({ ...input, paths, done: input.done && isLast }))
  if (input.type === 'finals')
    return halved(input.bases, (bases, isLast) => ({ ...input, bases, done: input.done && isLast }))
  if (input.type === 'woken')
    return halved(input.waiters, (waiters, isLast) => ({ ...input, waiters, done: input.done && isLast }))
  if (input.type === 'cleaned')
    return halved(input.keys, (keys, isLast) => ({ ...input, keys, done: input.done && isLast }))
  return undefined
}

function halved<T>(
  items: readonly T[],
  make: (items: readonly T[], isLast: boolean) => Input,
): readonly [Input, Input] | undefined {
  const half = items.length >> 1
  return half === 0 ? undefined : [make(items.slice(0, half), false), make(items.slice(half), true)]
}

/** Less of it: its job goes on with the rest. */
export function halfOf(input: Input): Input | undefined {
  if (input.type === 'pump') return input.count > 1 ? { ...input, count: input.count >> 1 } : undefined
  if (input.type !== 'reopened' || input.page === undefined || input.page.most < 2) return undefined
  return { ...input, page: { ...input.page, most: input.page.most >> 1 } }
}
