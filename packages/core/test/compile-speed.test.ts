import { expect, test } from 'vitest'
import { compile } from './support/compile'

const preamble = `
import { inParallel, type Pipeline } from '../src/pipeline'
import { createTasks } from '../src/tasks'
const tasks = createTasks({ namespace: 'speed' })
const start = tasks.bind('start', async (id: number) => ({ id, lines: [{ sku: 'a', count: 1 }] }))
const a = tasks.bind('a', async (order: { id: number; lines: { sku: string; count: number }[] }) => order.lines)
const b = tasks.bind('b', (lines: { sku: string; count: number }[], scale: number) => ({ id: scale, lines }))
`

const chain = (steps: number): string => `start.send(1)${'.continueWith(a).continueWith(b, 2)'.repeat(steps / 2)}`

/** What one more line costs, beyond the libraries. */
function cost(lines: string): {
  readonly errors: readonly string[]
  readonly instantiations: number
  readonly milliseconds: number
} {
  const empty = compile(preamble)
  const full = compile(preamble + lines)
  return { ...full, instantiations: full.instantiations - empty.instantiations }
}

// The bounds are several times what is measured, for slow machines; growth with the square of the length would pass them by far.
test('twenty chains of fifty steps compile quickly', () => {
  const lines = Array.from({ length: 20 }, (_, i) => `const chain${i}: Pipeline<{ id: number }> = ${chain(50)}`).join(
    '\n',
  )
  const { errors, instantiations, milliseconds } = cost(lines)
  expect(errors).toEqual([])
  expect(instantiations).toBeLessThan(300_000)
  expect(milliseconds).toBeLessThan(5_000)
})

test('a tuple of twenty pipelines keeps twenty types, quickly', () => {
  const entries = Array.from({ length: 20 }, (_, i) =>
    i % 2 ? 'start.send(1)' : 'start.send(1).continueWith(a)',
  ).join()
  const { errors, instantiations, milliseconds } = cost(`
    const group = inParallel([${entries}])
    const last = tasks.bind('last', (results: [${Array.from({ length: 20 }, (_, i) => (i % 2 ? '{ id: number }' : '{ sku: string }[]')).join()}]) => results.length)
    const whole: Pipeline<number> = group.continueWith(last)
  `)
  expect(errors).toEqual([])
  expect(instantiations).toBeLessThan(50_000)
  expect(milliseconds).toBeLessThan(5_000)
})
