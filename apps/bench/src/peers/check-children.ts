import { resultOf } from '../bench-tasks'
import type { Collected } from './contender'

/** What a fan-in was given, in whatever order. */
export function checkChildren(results: readonly number[]): Collected {
  const seen = new Set(results)
  let wrong = results.length - seen.size
  for (let i = 0; i < results.length; i++) if (!seen.has(resultOf(i))) wrong++
  return { count: results.length, wrong }
}
