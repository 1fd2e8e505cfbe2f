// What Flink Tasks' own tests say of its pipelines, said of ours; where we differ on purpose, the test says how.
//
// | scenario there                                                    | test                                                        |
// |---|---|
// | group of a task and a chain, then join                              | a group of chains is joined in the order of its entries       |
// | triple nested groups with an inner join                             | groups within groups                                          |
// | a task, then a group of tasks with arguments of their own           | what comes before a group goes to each of its chains          |
// | a task that gives a tuple, then a group                             | several values are spread before own arguments                |
// | group [ok, fail → x, ok] → join                                     | a group that fails                                            |
// | the same with return_exceptions                                     | failures as values                                            |
// | a group fails twice → exceptionally                                 | a handler of a group                                          |
// | a(fail) → b → exc(c) → d                                            | a handler gets the failure                                    |
// | a → exc(b) → exc(c) → d → exc(e)                                    | handlers without a failure                                    |
// | exceptionally raises → next exceptionally                           | a handler that fails                                          |
// | max_parallelism=1, first chain through two handlers                 | a place in a group is held by the whole chain                 |
// | in_parallel([]), → f(abc=12)                                        | an empty group gives an empty list                            |
// | 5 entries in 3 stages, max_parallelism 2                            | more chains than places                                       |
// | states of two chains: first writer wins                             | states of chains are merged, and a conflict is an error       |
// | states that are no maps: the first                                  | (values have keys here)                                       |
// | child with its own initial state, outer stays; inline               | the state of a returned pipeline                              |
// | fail before finally with state                                      | a finally after a failure sees the state                      |
// | finally raises                                                      | a finally that fails                                          |
// | wait on a group, then unpause                                       | a pause after a group                                         |
// | wait, then cancel, with finally                                     | a pause that ends in a cancel                                 |
// | yield, then send_result from elsewhere                              | (waitForEvent: see the tests of events)                       |
// | fail 3 times with max_retries 3; 4 times                            | as many retries as were said                                  |
// | one fixed task_id twice in a group                                  | a task id is for one entry                                    |
// | run again by id after the end; while PAUSED                         | an id that is there                                           |
// | cancel: [yielded, deferred], max_parallelism=1                      | a cancel while chains wait for a place                        |
// | event sequences                                                     | the statuses of a run, in order                               |
import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import type { TaskError } from '../../src/errors'
import { inParallel, type Submittable } from '../../src/pipeline'
import { spread } from '../../src/spread'
import type { PipelineHandle } from '../../src/client/handle'
import { eventually, PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

async function setUp(concurrency = 4) {
  const world = system()
  const { tasks } = world
  const ran: string[] = []
  const hello = tasks.bind('hello', (first: string, last: string) => `Hello ${first} ${last}`)
  const bye = tasks.bind(
    'bye',
    (greeting: string, message = 'see you later') => `${greeting}. So now I will say ${message}`,
  )
  const join = tasks.bind('join', (texts: readonly string[]) => {
    ran.push('join')
    return texts.join('; ')
  })
  const say = tasks.bind('say', (text: string) => {
    ran.push(text)
    return text
  })
  const fail = tasks.bind('fail', (text: string): string => {
    ran.push(text)
    throw new Error(text)
  })
  const also = tasks.bind('also', (upstream: string, text: string) => {
    ran.push(text)
    return `${upstream} ${text}`
  })
  const handle = tasks.bind('handle', (error: TaskError, text: string) => {
    ran.push(text)
    return `${text}(${error.errors?.map(({ message }) => message).join('|') ?? error.message})`
  })
  const set = tasks.bind('set', (key: string, value: number) => taskContext().state.set(key, value))
  const state = tasks.bind('state', () => ({ ...taskContext().state.get() }))
  await world.worker({ concurrency })
  const client = world.client()
  const resultOf = async <Out>(pipeline: Submittable<Out, void>) => (await client.submit(pipeline)).result(waiting)
  return { ...world, client, ran, hello, bye, join, say, fail, also, handle, set, state, resultOf }
}

const until = async (run: PipelineHandle<unknown>, status: string): Promise<void> =>
  eventually(async () => expect(await run.status()).toMatchObject({ status }))

test('a group of chains is joined in the order of its entries', async () => {
  const { hello, bye, join, resultOf } = await setUp()
  const group = inParallel([hello.send('John', 'Smith'), hello.send('Jane', 'Doe').continueWith(bye)])
  expect(await resultOf(group.continueWith(join))).toBe(
    'Hello John Smith; Hello Jane Doe. So now I will say see you later',
  )
})

test('groups within groups give lists within lists', async () => {
  const { hello, join, resultOf } = await setUp()
  const inner = inParallel([hello.send('John', 'Smith'), hello.send('Jane', 'Doe')]).continueWith(join)
  expect(await resultOf(inParallel([inParallel([inner])]))).toEqual([['Hello John Smith; Hello Jane Doe']])
})

test('what comes before a group goes to each of its chains, as the first argument', async () => {
  const { hello, bye, resultOf } = await setUp()
  const group = inParallel([bye.after('goodbye'), bye.after('ta-ta')])
  expect(await resultOf(hello.send('Jane', 'Doe').continueWith(group))).toEqual([
    'Hello Jane Doe. So now I will say goodbye',
    'Hello Jane Doe. So now I will say ta-ta',
  ])
})

test('several values are spread before own arguments', async () => {
  const { tasks, resultOf } = await setUp()
  const name = tasks.bind('name', () => spread('John', 'Smith'))
  const greet = tasks.bind('greet', (first: string, last: string, greeting: string) => `${greeting} ${first} ${last}`)
  const group = inParallel([greet.after('Hello'), greet.after('Goodbye')])
  expect(await resultOf(name.send().continueWith(group))).toEqual(['Hello John Smith', 'Goodbye John Smith'])
})

test('a group that fails waits for its other chains, and neither what follows the failure nor what follows the group runs', async () => {
  const { ran, say, fail, also, join, resultOf } = await setUp(1)
  const group = inParallel([say.send('a'), fail.send('b').continueWith(also, 'x'), say.send('c')])
  await expect(resultOf(group.continueWith(join))).rejects.toMatchObject({
    code: 'TASKS_GROUP_FAILED',
    errorCount: 1,
    errors: [{ message: 'b', task: { name: 'fail', attempt: 1 } }],
  })
  expect(ran).toEqual(['a', 'b', 'c'])
})

test('failures as values: the group succeeds', async () => {
  const { say, fail, also, resultOf } = await setUp()
  const chains = [say.send('a'), fail.send('b').continueWith(also, 'x'), say.send('c')] as const
  const [a, b, c] = await resultOf(inParallel(chains, { returnExceptions: true }))
  expect([a, (b as TaskError).message, c]).toEqual(['a', 'b', 'c'])
})

test('a handler of a group gets one error with the causes of all chains', async () => {
  const { fail, handle, resultOf } = await setUp()
  expect(await resultOf(inParallel([fail.send('a'), fail.send('b')]).exceptionally(handle, 'h'))).toEqual('h(a|b)')
})

test('a handler gets the failure and its own arguments, what lies between is skipped, and the chain goes on', async () => {
  const { ran, fail, also, handle, resultOf } = await setUp()
  const chain = fail.send('a').continueWith(also, 'b').exceptionally(handle, 'c').continueWith(also, 'd')
  expect(await resultOf(chain)).toBe('c(a) d')
  expect(ran).toEqual(['a', 'c', 'd'])
})

test('handlers without a failure are passed over', async () => {
  const { ran, say, also, handle, resultOf } = await setUp()
  const chain = say.send('a').exceptionally(handle, 'b').exceptionally(handle, 'c').continueWith(also, 'd')
  expect(await resultOf(chain.exceptionally(handle, 'e'))).toBe('a d')
  expect(ran).toEqual(['a', 'd'])
})

test('a handler that fails hands its own failure to the next one', async () => {
  const { tasks, fail, handle, resultOf } = await setUp()
  const worse = tasks.bind('worse', (error: TaskError): string => {
    throw new Error(`worse than ${error.message}`)
  })
  expect(await resultOf(fail.send('a').exceptionally(worse).exceptionally(handle, 'h'))).toBe('h(worse than a)')
})

test('a place in a group is held by the whole chain, through its handlers', async () => {
  const { tasks, ran, say, fail, handle, resultOf } = await setUp()
  const worse = tasks.bind('worse', (_: TaskError): string => {
    ran.push('worse')
    throw new Error('worse')
  })
  const first = fail.send('a').exceptionally(worse).exceptionally(handle, 'h')
  expect(await resultOf(inParallel([first, say.send('b')], { maxParallelism: 1 }))).toEqual(['h(worse)', 'b'])
  expect(ran).toEqual(['a', 'worse', 'h', 'b'])
})

test('an empty group gives an empty list, alone, to what follows, and within groups', async () => {
  const { tasks, resultOf } = await setUp()
  const f = tasks.bind('f', (list: readonly unknown[], n: number) => [list, n])
  expect(await resultOf(inParallel([]))).toEqual([])
  expect(await resultOf(inParallel([]).continueWith(f, 12))).toEqual([[], 12])
  expect(await resultOf(inParallel([inParallel([]), inParallel([])]).continueWith(inParallel([])))).toEqual([])
})

test('more chains than places: one list, in order', async () => {
  const { say, resultOf } = await setUp()
  const letters = ['a', 'b', 'c', 'd', 'e']
  expect(
    await resultOf(
      inParallel(
        letters.map((letter) => say.send(letter)),
        { maxParallelism: 2 },
      ),
    ),
  ).toEqual(letters)
})

test('states of chains are merged, and a conflict is an error, where the first writer wins there', async () => {
  const { set, state, resultOf } = await setUp()
  const merged = inParallel([set.send('A', 2), set.send('B', 2)]).continueWith(state.send())
  expect(await resultOf(merged)).toEqual({ A: 2, B: 2 })
  const conflict = inParallel([set.send('A', 2), set.send('A', 1)]).continueWith(state.send())
  await expect(resultOf(conflict)).rejects.toMatchObject({ code: 'TASKS_STATE_CONFLICT' })
})

test('the state of a returned pipeline is its own, unless it is inline', async () => {
  const { tasks, state, resultOf } = await setUp()
  const add = tasks.bind('add', (by: number) => {
    const { state: shared } = taskContext<{ n: number }>()
    const n = (shared.get('n') ?? 0) + by
    shared.set('n', n)
    return n
  })
  const own = tasks.bind('own', () => add.send(1).withInitial({ state: { n: 1 } }))
  const inline = tasks.bind('inline', () => add.send(1).inline())
  const outer = (child: typeof own) => child.send().continueWith(inParallel([state.send()]))
  expect(await resultOf(outer(own).withInitial({ state: { n: 100 } }))).toEqual([{ n: 100 }])
  expect(await resultOf(own.send().withInitial({ state: { n: 100 } }))).toBe(2)
  expect(await resultOf(outer(inline).withInitial({ state: { n: 2 } }))).toEqual([{ n: 3 }])
})

test('a finally after a failure sees the state, and the failure stays', async () => {
  const { tasks, set, fail, resultOf } = await setUp()
  const seen: unknown[] = []
  const look = tasks.bind('look', () => void seen.push({ ...taskContext().state.get() }))
  await expect(resultOf(set.send('a', 1).continueWith(fail, 'no').finallyDo(look))).rejects.toThrow('no')
  expect(seen).toEqual([{ a: 1 }])
})

test('a finally that fails replaces a success, and is attached to a failure', async () => {
  const { say, fail, resultOf } = await setUp()
  await expect(resultOf(say.send('a').finallyDo(fail, 'end'))).rejects.toThrow('end')
  const error = await resultOf(fail.send('a').finallyDo(fail, 'end')).catch((thrown: unknown) => thrown as TaskError)
  expect(error).toMatchObject({ message: 'a', suppressed: [{ message: 'end' }] })
})

test('a pause after a group: what follows starts when it is resumed', async () => {
  const { client, ran, say, join } = await setUp()
  const group = inParallel([say.send('a'), say.send('b')]).pauseAfter()
  const run = await client.submit(group.continueWith(join))
  await until(run, 'PAUSED')
  expect(ran.sort()).toEqual(['a', 'b'])
  await run.resume()
  expect(await run.result(waiting)).toBe('a; b')
  await until(run, 'COMPLETED')
})

test('a pause that ends in a cancel: the finally sees the latest state, and the error names the pipeline', async () => {
  const { tasks, client, set, say } = await setUp()
  const seen: unknown[] = []
  const look = tasks.bind('look', () => void seen.push({ ...taskContext().state.get() }))
  const pipeline = set.send('a', 1).pauseAfter().continueWith(say.send('never')).finallyDo(look)
  const run = await client.submit(pipeline, { id: 'paused' })
  await until(run, 'PAUSED')
  await run.cancel()
  await expect(run.result(waiting)).rejects.toMatchObject({
    code: 'TASKS_CANCELLED',
    message: expect.stringContaining('"paused"') as string,
  })
  expect(seen).toEqual([{ a: 1 }])
})

test('as many retries as were said', async () => {
  const { tasks, resultOf } = await setUp()
  const flaky = tasks.bind('flaky', (times: number) => {
    if (taskContext().attempt <= times) throw new Error('not yet')
    return taskContext().attempt
  })
  const retried = (times: number) => flaky.send(times).set({ retry: { maxRetries: 3, delayMs: 1 } })
  expect(await resultOf(retried(3))).toBe(4)
  await expect(resultOf(retried(4))).rejects.toMatchObject({ message: 'not yet', task: { attempt: 4 } })
})

test('a task id is for one entry: there is no state of a task that two of them could share', async () => {
  const { say, resultOf } = await setUp()
  const named = say.send('a').set({ taskId: 'one' })
  await expect(resultOf(inParallel([named, named]))).rejects.toMatchObject({ code: 'TASKS_DEFINITION_INVALID' })
})

test('an id that is there: restarted after its end it runs again; while it is paused a submit gives the run that there is', async () => {
  const { client, ran, say } = await setUp()
  const pipeline = say.send('a').pauseAfter().continueWith(say)
  const once = async (run: PipelineHandle<string>): Promise<void> => {
    await until(run, 'PAUSED')
    await run.resume()
    expect(await run.result(waiting)).toBe('a')
  }
  const first = await client.submit(pipeline, { id: 'p' })
  await until(first, 'PAUSED')
  await client.submit(pipeline, { id: 'p' })
  await once(first)
  expect(ran).toEqual(['a', 'a'])
  await once(await client.submit(pipeline, { id: 'p', onDuplicate: 'restart' }))
  expect(ran).toEqual(['a', 'a', 'a', 'a'])
})

test('a cancel while chains wait for a place: they never start', async () => {
  const { tasks, client, ran, say } = await setUp()
  const wait = tasks.bind('wait', () => {
    ran.push('wait')
    const { signal } = taskContext()
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  })
  const run = await client.submit(inParallel([wait.send(), say.send('deferred')], { maxParallelism: 1 }))
  await eventually(() => expect(ran).toEqual(['wait']))
  await run.cancel()
  await expect(run.result(waiting)).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
  expect(ran).toEqual(['wait'])
  await until(run, 'CANCELLED')
})

test('the statuses of a run, in order: of one that is paused and resumed, and of one that is cancelled', async () => {
  const { tasks, client, say } = await setUp()
  let go = (): void => undefined
  const held = tasks.bind('held', () => new Promise<void>((resolve) => (go = resolve)))
  const seen = async (run: PipelineHandle<unknown>): Promise<string> => (await run.status()).status
  const first = await client.submit(say.send('a').pauseAfter().continueWith(held.send()))
  const statuses: string[] = []
  await until(first, 'PAUSED')
  statuses.push(await seen(first))
  await first.resume()
  statuses.push(await seen(first))
  await eventually(async () => expect(await first.status()).toMatchObject({ done: 1 }))
  await eventually(() => {
    go()
    return first.result({ timeoutMs: 50 })
  })
  statuses.push(await seen(first))
  expect(statuses).toEqual(['PAUSED', 'RUNNING', 'COMPLETED'])

  const second = await client.submit(held.send())
  await until(second, 'RUNNING')
  await second.cancel({ graceMs: 60_000 })
  expect(await seen(second)).toBe('CANCELLING')
  await eventually(async () => {
    go()
    expect(await seen(second)).toBe('CANCELLED')
  })
})
