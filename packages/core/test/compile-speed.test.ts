import { expect, test, vi } from 'vitest'
import { compile } from './support/compile'

vi.setConfig({ testTimeout: 60_000 })

const preamble = `
import { fanOut, inParallel, sleep, type Pipeline, type Submittable } from '../src/pipeline'
import type { TaskError } from '../src/errors'
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
} {
  const empty = compile(preamble)
  const full = compile(preamble + lines)
  return { ...full, instantiations: full.instantiations - empty.instantiations }
}

// Counted, because a busy machine has no time to speak of. Growth with the square of the length would pass the bounds by far.
test('twenty chains of fifty steps compile quickly', () => {
  const lines = Array.from({ length: 20 }, (_, i) => `const chain${i}: Pipeline<{ id: number }> = ${chain(50)}`).join(
    '\n',
  )
  const { errors, instantiations } = cost(lines)
  expect(errors).toEqual([])
  expect(instantiations).toBeLessThan(30_000)
})

test('chains of handlers, fan-outs and sleeps compile quickly', () => {
  const more = `
    const split = tasks.bind('split', async (lines: { sku: string; count: number }[]) => lines.map((line) => line.sku))
    const price = tasks.bind('price', (sku: string, currency: string) => ({ sku, count: 1 }))
    const give = tasks.bind('give', (error: TaskError): { sku: string; count: number }[] => [])
  `
  const round = `.continueWith(split).continueWith(fanOut(price.after('EUR').exceptionally(tasks.bind('h', (_: Error) => ({ sku: 'a', count: 0 }))), { maxParallelism: 5 })).continueWith(sleep(5)).exceptionally(give).exceptionally(give)`
  const lines = Array.from(
    { length: 20 },
    (_, i) =>
      `const chain${i}: Submittable<{ sku: string }[], void> = start.send(1).continueWith(a)${round.repeat(8)}.finallyDo(split, [])`,
  )
  const { errors, instantiations } = cost(more + lines.join('\n'))
  expect(errors).toEqual([])
  expect(instantiations).toBeLessThan(600_000)
})

test('a tuple of twenty pipelines keeps twenty types, quickly', () => {
  const entries = Array.from({ length: 20 }, (_, i) =>
    i % 2 ? 'start.send(1)' : 'start.send(1).continueWith(a)',
  ).join()
  const { errors, instantiations } = cost(`
    const group = inParallel([${entries}])
    const last = tasks.bind('last', (results: [${Array.from({ length: 20 }, (_, i) => (i % 2 ? '{ id: number }' : '{ sku: string }[]')).join()}]) => results.length)
    const whole: Pipeline<number> = group.continueWith(last)
  `)
  expect(errors).toEqual([])
  expect(instantiations).toBeLessThan(50_000)
})
