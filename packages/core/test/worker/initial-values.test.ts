import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { fanOut, inParallel, sleep, type Submittable } from '../../src/pipeline'
import { createTasks } from '../../src/tasks'
import { testPipeline } from '../../src/testing'

const tasks = createTasks({ namespace: 'initial' })
const join = tasks.bind('join', (first: string, second = '-', third = '-') => [first, second, third].join(' '))
const count = tasks.bind('count', (key: string) => taskContext<Record<string, number>>().state.get(key) ?? 0)

const ran = async (pipeline: Submittable<unknown, void>): Promise<unknown> => {
  const { result, error } = await testPipeline(pipeline, { tasks })
  return error ?? result
}

test('what a pipeline begins with reaches its first entry, before the arguments of its own', async () => {
  expect(await ran(join.after().withInitial({ args: ['a'] }))).toBe('a - -')
  expect(await ran(join.after('own').withInitial({ args: ['a'] }))).toBe('a own -')
  expect(await ran(join.after().withInitial({ args: ['a', 'b'] }))).toBe('a b -')
})

test('every first entry of a group gets it, but those that have all their arguments', async () => {
  const group = inParallel([join, inParallel([join.after('own')]), join.send('closed')])
  expect(await ran(group.withInitial({ args: ['a'] }))).toEqual(['a - -', ['a own -'], 'closed - -'])
  expect(
    await ran(
      sleep(5)
        .continueWith(group)
        .withInitial({ args: ['a'] }),
    ),
  ).toEqual(['a - -', ['a own -'], 'closed - -'])
})

test('a fan-out takes it as its list', async () => {
  expect(await ran(fanOut(join.after('own')).withInitial({ args: [['a', 'b']] }))).toEqual(['a own -', 'b own -'])
  const two = fanOut(join).withInitial as unknown as (initial: unknown) => Submittable<unknown, void>
  expect(await ran(two.call(fanOut(join), { args: ['a', 'b'] }))).toMatchObject({
    code: 'TASKS_ARGUMENTS',
    message: 'a fan-out needs an array from upstream, and got 2 values',
  })
})

test('a pipeline that a task returns has what it begins with, and a state of its own', async () => {
  const returned = tasks.bind('returned', () =>
    join
      .after()
      .withInitial({ args: ['inner'], state: { n: 1 } })
      .continueWith(join, 'then'),
  )
  const apart = tasks.bind('apart', () => count.send('n'))
  const inline = tasks.bind('inline', () => count.send('n').inline())
  expect(await ran(returned.send().continueWith(join, 'outer'))).toBe('inner - - then - outer -')
  const state = { n: 7 }
  expect(await ran(inParallel([count.send('n'), apart.send(), inline.send()]).withInitial({ state }))).toEqual([
    7, 0, 7,
  ])
})
