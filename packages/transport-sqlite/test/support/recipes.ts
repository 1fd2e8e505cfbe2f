// Random pipelines of chains, groups and returned pipelines, and what each comes to. The same seed is the same pipeline, in every process.
import { inParallel, type Pipeline } from '@tasks/core'
import { virtualClock } from '@tasks/core/testing'
import { add, addLater, echo, sum, tasks } from './tasks'

export interface Recipe {
  readonly pipeline: Pipeline<number, void>
  readonly expected: number
  /** Task entries that end well. */
  readonly tasks: number
}

type Open = Pipeline<number, number>

interface Part {
  readonly open: Open
  readonly of: (value: number) => number
  readonly tasks: number
}

/** A task that goes on as another pipeline. */
const goOn = tasks.bind('goOn', (value: number, seed: number): Pipeline<number, void> => recipeOf(seed, value).pipeline)

export function recipeOf(seed: number, start = seed % 100): Recipe {
  const { random } = virtualClock({ seed })
  const upTo = (most: number): number => 1 + Math.floor(random() * most)

  const part = (depth: number): Part => {
    const kind = random()
    const more = upTo(50)
    if (kind < 0.2) return { open: addLater.after(more), of: (value) => value + more, tasks: 1 }
    // Small seeds make short pipelines that return no others.
    if (kind < 0.3 && seed >= 1_000) {
      const inner = upTo(999)
      return {
        open: goOn.after(inner),
        of: (value) => recipeOf(inner, value).expected,
        tasks: 1 + recipeOf(inner).tasks,
      }
    }
    if (kind < 0.6 && depth < 2) {
      const chains = Array.from({ length: upTo(seed < 1_000 ? 3 : 6) }, () => chain(depth + 1, 2))
      return {
        open: inParallel(chains.map(({ open }) => open)).continueWith(sum),
        of: (value) => chains.reduce((total, each) => total + each.of(value), 0),
        tasks: 1 + chains.reduce((total, each) => total + each.tasks, 0),
      }
    }
    const ms = Math.floor(random() * 15)
    return { open: add.after(more, ms), of: (value) => value + more, tasks: 1 }
  }

  const chain = (depth: number, most: number): Part => {
    let all = part(depth)
    for (let left = upTo(most) - 1; left > 0; left--) {
      const [before, next] = [all, part(depth)]
      all = {
        open: before.open.continueWith(next.open),
        of: (value) => next.of(before.of(value)),
        tasks: before.tasks + next.tasks,
      }
    }
    return all
  }

  const { open, of, tasks: count } = chain(0, 4)
  return { pipeline: echo.send(start).continueWith(open), expected: of(start), tasks: 1 + count }
}
