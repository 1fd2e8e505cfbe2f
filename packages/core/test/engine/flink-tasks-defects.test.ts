// The defects of Flink Tasks' current engine that we know of, each as a test that ours does not have it.
//
// | defect there                                                                         | test                                          |
// |---|---|
// | 1 a failure in the middle of a chain ends the whole group                              | a failure in the middle of a chain            |
// | 2 a chain that ends in a handler ends its group early, and what follows starts twice   | a chain that ends in a handler                |
// | 3 a task and then an empty group: RUNNING for ever                                     | an empty group as the last entry              |
// | 4 a failure before a group is caught by a handler inside of it                         | a failure before a group                      |
// | 5 initial arguments of a staged group go to the wrong task                             | initial arguments of a group                  |
// | 6 a second submit fails the run that goes on, and orphans who waits for it             | a second submit                               |
// | 7 pause and cancel of an unknown id take it away for ever                              | commands to an id that is not there           |
// | 8 actions that are passed on to child pipelines are misread                            | commands to a pipeline with returned ones     |
// | 9 the failure and the result are kept in one place                                     | a failure, and then a result                  |
// | 10 a pipeline whose last task gives nothing passes on `([],)`                          | a returned pipeline that gives nothing        |
// | 11 the display name is "" if none was given                                            | names                                         |
// | 12 an empty group that comes first wipes the state                                     | the state, and an empty group that comes first |
// | 13 an empty group and then a finally: an engine error                                  | a finally after an empty group                |
// | 14 results of groups stay after they were aggregated                                   | rows of groups that were joined               |
// | 15 what a decorator returns is not the function                                        | a bound function is the function              |
import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import type { TaskError } from '../../src/errors'
import { inParallel, type Submittable } from '../../src/pipeline'
import { eventually, PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

async function setUp(concurrency = 4) {
  const world = system()
  const { tasks } = world
  const ran: string[] = []
  const say = tasks.bind('say', (text: string) => {
    ran.push(text)
    return text
  })
  const fail = tasks.bind('fail', (text: string): string => {
    ran.push(text)
    throw new Error(text)
  })
  const join = tasks.bind('join', (texts: readonly unknown[]) => {
    ran.push('join')
    return texts.map((text) => (text instanceof Error ? text.message : String(text))).join(' ')
  })
  const recover = tasks.bind('recover', (error: TaskError) => {
    ran.push('recover')
    return `not ${error.message}`
  })
  await world.worker({ concurrency })
  const client = world.client()
  const resultOf = async <Out>(pipeline: Submittable<Out, void>) => (await client.submit(pipeline)).result(waiting)
  return { ...world, client, ran, say, fail, join, recover, resultOf }
}

test('1: a failure in the middle of a chain leaves the other chains of its group as they are, those that wait for a place too', async () => {
  const { ran, say, fail, join, resultOf } = await setUp()
  const chains = [fail.send('a').continueWith(say), say.send('c'), say.send('d')] as const
  expect(await resultOf(inParallel(chains, { returnExceptions: true, maxParallelism: 1 }).continueWith(join))).toBe(
    'a c d',
  )
  expect(ran).toEqual(['a', 'c', 'd', 'join'])
  await expect(resultOf(inParallel(chains).continueWith(join))).rejects.toMatchObject({ errorCount: 1 })
})

test('2: a chain that ends in a handler it did not need ends once, and what follows its group starts once, after all chains', async () => {
  const { ran, say, join, recover, resultOf } = await setUp(1)
  const chains = [say.send('a').exceptionally(recover), say.send('b').continueWith(say), say.send('c')] as const
  expect(await resultOf(inParallel(chains, { maxParallelism: 1 }).continueWith(join))).toBe('a b c')
  expect(ran).toEqual(['a', 'b', 'b', 'c', 'join'])
})

test('3: an empty group as the last entry ends its pipeline', async () => {
  const { say, resultOf } = await setUp()
  expect(await resultOf(say.send('a').continueWith(inParallel([])))).toEqual([])
})

test('4: a failure before a group skips the whole group, handlers inside of it too', async () => {
  const { ran, say, fail, recover, resultOf } = await setUp()
  const group = inParallel([say.after().exceptionally(recover), say.after()])
  await expect(resultOf(fail.send('a').continueWith(group))).rejects.toThrow('a')
  expect(ran).toEqual(['a'])
})

test('5: initial arguments of a group go to the first task of each chain', async () => {
  const { tasks, resultOf } = await setUp()
  const add = tasks.bind('add', (a: number, b: number) => a + b)
  const chains = Array.from({ length: 5 }, (_, index) => add.after(index))
  expect(await resultOf(inParallel(chains, { maxParallelism: 2 }).withInitial({ args: [10] }))).toEqual([
    10, 11, 12, 13, 14,
  ])
})

test('6: a second submit of an id changes nothing for the run that goes on, and comes to the same', async () => {
  const { client, say } = await setUp()
  const pipeline = say.send('a').pauseAfter().continueWith(say)
  const first = await client.submit(pipeline, { id: 'p' })
  await eventually(async () => expect(await first.status()).toMatchObject({ status: 'PAUSED' }))
  const second = await client.submit(pipeline, { id: 'p' })
  await expect(client.submit(pipeline, { id: 'p', onDuplicate: 'reject' })).rejects.toMatchObject({
    code: 'TASKS_ID_EXISTS',
  })
  expect(await first.status()).toMatchObject({ status: 'PAUSED', done: 1 })
  await first.resume()
  expect(await Promise.all([first.result(waiting), second.result(waiting)])).toEqual(['a', 'a'])
})

test('7: commands to an id that is not there are refused, and it can be submitted afterwards', async () => {
  const { client, say } = await setUp()
  for (const command of ['pause', 'resume', 'cancel', 'retry', 'delete'] as const)
    await expect(client[command]('p')).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
  expect(await client.status('p')).toBeUndefined()
  expect(await (await client.submit(say.send('a'), { id: 'p' })).result(waiting)).toBe('a')
})

test('8: commands to a pipeline reach the pipelines that its tasks have returned', async () => {
  const { tasks, client, ran, say, join } = await setUp()
  const inner = tasks.bind('inner', (text: string) => say.send(text).pauseAfter().continueWith(say).continueWith(say))
  const outer = inParallel([inner.send('a'), inner.send('b')]).continueWith(join)
  const paused = async (run: { status(): Promise<object> }): Promise<void> =>
    eventually(async () => expect(await run.status()).toMatchObject({ status: 'PAUSED', done: 4 }))
  const run = await client.submit(outer)
  await paused(run)
  await run.resume()
  expect(await run.result(waiting)).toBe('a b')
  ran.length = 0
  const other = await client.submit(outer)
  await paused(other)
  await other.cancel()
  await expect(other.result(waiting)).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
  expect(ran.sort()).toEqual(['a', 'b'])
})

test('9: a failure and a result do not meet: a run that ended well after one that failed has its result alone', async () => {
  const { tasks, client } = await setUp()
  let fails = true
  const flaky = tasks.bind('flaky', () => {
    if (fails) throw new Error('down')
    return 'up'
  })
  const run = await client.submit(flaky.send(), { id: 'p' })
  await expect(run.result(waiting)).rejects.toThrow('down')
  fails = false
  const again = await run.retry()
  expect(await again.result(waiting)).toBe('up')
  expect(await client.attach('p').result(waiting)).toBe('up')
  const restarted = await client.submit(flaky.send(), { id: 'p', onDuplicate: 'restart' })
  expect(await restarted.result(waiting)).toBe('up')
})

test('10: a task that gives nothing, and a returned pipeline that does, pass nothing on', async () => {
  const { tasks, resultOf } = await setUp()
  const nothing = tasks.bind('nothing', () => undefined)
  const inner = tasks.bind('inner', () => nothing.send())
  const count = tasks.bind('count', (...args: unknown[]) => args.length)
  expect(await resultOf(nothing.send().continueWith(count))).toBe(0)
  expect(await resultOf(inner.send().continueWith(count))).toBe(0)
  expect(await resultOf(inner.send())).toBeUndefined()
})

test('11: names: a task that was given no display name goes by its own', async () => {
  const { tasks, client } = await setUp()
  const nameOf = tasks.bind('nameOf', () => taskContext().taskName)
  const plain = await client.submit(nameOf.send(), { id: 'plain' })
  expect(await plain.result(waiting)).toBe('nameOf')
  const named = await client.submit(nameOf.send().set({ displayName: 'a name' }), { id: 'named' })
  expect(await named.result(waiting)).toBe('nameOf')
  expect([(await client.status('plain'))!.name, (await client.status('named'))!.name]).toEqual(['nameOf', 'a name'])
})

test('12: the state is what it was after a group in which an empty group comes first', async () => {
  const { tasks, resultOf } = await setUp()
  const set = tasks.bind('set', (key: string, value: number) => taskContext().state.set(key, value))
  const state = tasks.bind('state', () => ({ ...taskContext().state.get() }))
  const group = inParallel([inParallel([]), set.send('b', 2)])
  const pipeline = set.send('a', 1).continueWith(group).continueWith(state.send())
  expect(await resultOf(pipeline.withInitial({ state: { c: 3 } }))).toEqual({ a: 1, b: 2, c: 3 })
})

test('13: a finally after an empty group runs, and the result is the empty list', async () => {
  const { ran, say, resultOf } = await setUp()
  expect(await resultOf(inParallel([]).finallyDo(say, 'end'))).toEqual([])
  expect(ran).toEqual(['end'])
})

test.each([true, false])('14: no row of a group is left once it was joined, ordered: %s', async (ordered) => {
  const { client, rows, say } = await setUp()
  const group = inParallel(
    Array.from({ length: 2_000 }, (_, index) => say.send(String(index))),
    { ordered },
  )
  const run = await client.submit(group.pauseAfter().continueWith(say.send('end')))
  await eventually(async () => expect(await run.status()).toMatchObject({ status: 'PAUSED' }))
  await eventually(async () => expect((await rows('P')).filter((key) => /:[gbr]/.test(key))).toEqual([]))
  await run.resume()
  expect(await run.result(waiting)).toBe('end')
})

test('15: a bound function is the function, and may be bound again', async () => {
  const { tasks, resultOf } = await setUp()
  const double = (n: number): number => 2 * n
  const bound = tasks.bind('double', double)
  const other = tasks.bind('double again', double)
  expect([bound(2), other(3)]).toEqual([4, 6])
  expect(await resultOf(bound.send(2).continueWith(other))).toBe(8)
})
