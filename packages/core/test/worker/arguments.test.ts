import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import type { StandardSchema } from '../../src/schema'
import { createTasks } from '../../src/tasks'
import { testPipeline } from '../../src/testing'
import { PATIENCE_MS, system } from '../support/system'

interface Order {
  readonly items: readonly number[]
}

/** What a schema library makes: converts texts to numbers. */
const order: StandardSchema<unknown, Order> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate(value) {
      const items = (value as { items?: unknown } | null)?.items
      if (!Array.isArray(items)) return { issues: [{ message: 'expected a list', path: ['items'] }] }
      const issues = items.flatMap((item, index) =>
        Number.isFinite(Number(item)) ? [] : [{ message: 'expected a number', path: ['items', index] }],
      )
      return issues.length > 0 ? { issues } : { value: { items: items.map(Number) } }
    },
  },
}

const tasks = createTasks({ namespace: 'arguments', retry: { maxRetries: 5, delayMs: 1_000 } })
const read = tasks.bind('read', (text: string) => JSON.parse(text) as Order)
const total = tasks.bind('total', ({ items }: Order) => items.reduce((sum, item) => sum + item, 0), {
  inputs: [order],
})

test('an argument that fits its schema reaches the function as the schema gives it', async () => {
  const run = await testPipeline(read.send('{"items":[1,"2",3]}').continueWith(total), { tasks })
  expect(run.result).toBe(6)
})

test('one that does not fit fails the task, named by its path, without a call and without a retry', async () => {
  const run = await testPipeline(read.send('{"items":[1,"two"]}').continueWith(total), { tasks })
  expect(run.error).toMatchObject({
    code: 'TASKS_SCHEMA',
    message: 'task "total": argument 1, at items[1]: expected a number',
    details: { issues: [{ argument: 1, path: 'items[1]', message: 'expected a number' }] },
    task: { name: 'total', attempt: 1 },
  })
  expect(run.timeline.map(({ task }) => task)).toEqual(['read'])
})

/** A schema of numbers alone. */
const number: StandardSchema<unknown, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => (typeof value === 'number' ? { value } : { issues: [{ message: 'expected a number' }] }),
  },
}

test('how many arguments there are is checked by the compiler and by inputs, and by nothing else', async () => {
  const own = createTasks({ namespace: 'counts' })
  const loose = own.bind('loose', (...args: readonly unknown[]) => args)
  const checked = own.bind('checked', (a: number, b: number) => a + b, { inputs: [number, number] })
  const send = (task: unknown, ...args: unknown[]) => testPipeline((task as typeof loose).send(...args), { tasks: own })
  const two = own.bind('two', (a: unknown, b: unknown) => [a ?? 'none', b ?? 'none'])
  expect((await send(two, 1)).result).toEqual([1, 'none'])
  expect((await send(two)).result).toEqual(['none', 'none'])
  expect((await send(loose, 1, 2, 3)).result).toEqual([1, 2, 3])
  expect((await send(checked, 1, 2)).result).toBe(3)
  expect((await send(checked, 1)).error).toMatchObject({
    code: 'TASKS_SCHEMA',
    message: 'task "checked": argument 2: expected a number',
  })
})

test('a lone task whose argument does not fit becomes a dead letter at once', async () => {
  const { tasks: own, worker, client } = system()
  const checked = own.bind('checked', ({ items }: Order) => items.length, {
    inputs: [order],
    retry: { maxRetries: 5, delayMs: 1 },
  })
  await worker()
  const sender = client()
  const handle = await sender.enqueue(checked.send({ items: 'none' } as never), { reply: true })
  await expect(handle.result({ timeoutMs: PATIENCE_MS })).rejects.toMatchObject({
    code: 'TASKS_SCHEMA',
    task: { attempt: 1 },
  })
  expect(await sender.deadLetters.list()).toMatchObject([
    { reason: 'failed', task: 'checked', error: { code: 'TASKS_SCHEMA' } },
  ])
})

test('a state that does not fit its schema fails the task, without a call and without a retry', async () => {
  const own = createTasks({ namespace: 'states', retry: { maxRetries: 5, delayMs: 1_000 } })
  const start = own.bind('start', (items: unknown) => taskContext().state.set('items', items))
  const count = own.bind('count', (text: string) => text + String(taskContext<Order>().state.get('items')?.length), {
    state: order,
    inputs: [undefined],
  })
  const ran = async (items: unknown) => testPipeline(start.send(items).continueWith(count, 'n'), { tasks: own })
  expect((await ran([1, 2])).result).toBe('n2')
  const { error, timeline } = await ran('many')
  expect(error).toMatchObject({
    code: 'TASKS_SCHEMA',
    message: 'task "count": the pipeline state, at items: expected a list',
    task: { name: 'count', attempt: 1 },
  })
  expect(timeline.map(({ task }) => task)).toEqual(['start'])
})
