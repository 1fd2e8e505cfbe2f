import { expect, test, vi } from 'vitest'
import type { ListOptions } from '../src/client/questions'
import type { ChainDescription, EntryDescription } from '../src/engine/describe'
import { fanOut, inParallel, sleep, type Pipeline } from '../src/pipeline'
import type { TaskError } from '../src/errors'
import { taskContext } from '../src/context'
import { eventually, ownersOnly, PATIENCE_MS, system } from './support/system'

// Enough on a machine that is busy with something else.
vi.setConfig({ testTimeout: 60_000 })

const ways = ['by a client that reads rows', 'by owners'] as const

function world(way: (typeof ways)[number]) {
  const { connect, ...rest } = system()
  const transport = connect()
  return { ...rest, client: rest.client({}, way === 'by owners' ? ownersOnly(transport) : transport) }
}

/** `name:state`, with what is below it in brackets. */
function outline({ entries, finally: last }: ChainDescription): string {
  return [...entries, ...(last === undefined ? [] : [last])].map(word).join(' ')
}

function word({ name, state, group, returned }: EntryDescription): string {
  const below = returned === undefined ? group?.chains.map(outline) : [outline(returned)]
  return `${name}:${state}${below === undefined ? '' : `(${below.join(' | ')})`}`
}

test.each(ways)('each entry is told with its state while the pipeline runs, %s', async (way) => {
  const { tasks, worker, client } = world(way)
  let release!: () => void
  const gate = new Promise<void>((resolve) => (release = resolve))
  const one = tasks.bind('one', () => 1)
  const held = tasks.bind('held', async (_: number) => {
    taskContext().progress(0.5, 'half')
    await gate
    return 1
  })
  const fails = tasks.bind('fails', (): number => {
    throw new Error('no luck')
  })
  const mends = tasks.bind('mends', (error: TaskError) => error.message.length)
  const deep = tasks.bind('deep', () => one.send().continueWith(held).set({ displayName: 'inner' }).finallyDo(one))
  await worker()
  const pipeline = one
    .send()
    .exceptionally(mends)
    .continueWith(fails.send())
    .continueWith(one.send())
    .exceptionally(mends)
    .continueWith(
      inParallel(
        [
          one.send(),
          one.send().continueWith(held.after()),
          deep.send().continueWith(one.send()),
          sleep(3_600_000),
          one.send().continueWith(one.send()),
        ],
        { maxParallelism: 4 },
      ),
    )
    .continueWith(one.send())
    .finallyDo(one)
  const run = await client.submit(pipeline, { id: 'p', meta: { a: 1 } })
  await eventually(async () => {
    const { chain } = await run.describe()
    expect(chain && outline(chain)).toBe(
      'one:done mends:skipped fails:failed one:skipped mends:done in parallel:running(' +
        [
          '',
          'one:done held:running',
          'deep:running(one:done inner:running one:pending) one:pending',
          'sleep:waiting',
          '',
        ].join(' | ') +
        ') one:pending one:pending',
    )
  })
  const told = (await client.describe('p'))!
  const { groups, ...status } = await run.status()
  expect(told).toMatchObject({ ...status, id: 'p', status: 'RUNNING', name: 'one', meta: { a: 1 } })
  expect(groups).toEqual([{ taskId: 'p/5', size: 5, started: 5, ended: 2, failed: 0 }])
  const entries = told.chain!.entries
  expect(entries[5]).toMatchObject({
    taskId: 'p/5',
    kind: 'group',
    since: expect.any(Number) as number,
    group: { size: 5, started: 5, ended: 2, failed: 0, maxParallelism: 4 },
  })
  expect(entries[5]!.since).toBeGreaterThanOrEqual(told.createdAt!)
  const [first, second, third, fourth] = entries[5]!.group!.chains
  expect(first).toEqual({ index: 0, state: 'done', entries: [] })
  expect(second!.entries[1]).toMatchObject({ taskId: 'p/5.1/1', kind: 'task', attempt: 1 })
  expect([told.chain!.pipelineId, second!.pipelineId]).toEqual(['p', undefined])
  expect(third!.entries[0]!.returned!.pipelineId).toBe('p/5.2/0:')
  expect(third!.entries[0]!.returned!.entries[1]!.taskId).toBe('p/5.2/0:/1')
  expect(fourth!.entries[0]).toMatchObject({ kind: 'sleep', sleepMs: 3_600_000 })
  // What a task has said of itself comes with a report of its worker.
  await eventually(async () => {
    const chains = (await client.describe('p'))!.chain!.entries[5]!.group!.chains
    expect(chains[1]!.entries[1]).toMatchObject({ progress: { fraction: 0.5, note: 'half' } })
  })
  await client.pause('p')
  release()
  await eventually(async () => {
    const chains = (await client.describe('p'))!.chain!.entries[5]!.group!.chains
    expect(chains.map(outline)).toEqual([
      '',
      '',
      'deep:running(one:done inner:done one:held) one:pending',
      'sleep:waiting',
      '',
    ])
  })
  await client.cancel('p')
  await expect(run.result()).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
  const over = (await client.describe('p'))!
  expect(over).toMatchObject({ status: 'CANCELLED', error: { code: 'TASKS_CANCELLED' } })
  // What was below its entries is gone.
  expect(outline(over.chain!)).toBe(
    'one:done mends:skipped fails:failed one:skipped mends:done in parallel:cancelled one:skipped one:done',
  )
  expect(over.chain!.state).toBe('cancelled')
})

test.each(ways)(
  'of a run that has ended well its entries are told: when, how long, how often tried, %s',
  async (way) => {
    const { tasks, worker, client } = world(way)
    const one = tasks.bind('one', () => 1)
    const flaky = tasks.bind('flaky', () => {
      if (taskContext().attempt < 3) throw new Error('not yet')
      return 1
    })
    const fails = tasks.bind('fails', (): number => {
      throw new Error('no luck')
    })
    const mends = tasks.bind('mends', (_: TaskError) => 1)
    await worker()
    const pipeline = flaky
      .send()
      .set({ retry: { maxRetries: 3, delayMs: 20, jitter: 'none' } })
      .continueWith(sleep(30))
      .continueWith(fails.send())
      .continueWith(one.send())
      .exceptionally(mends)
      .continueWith(inParallel([one.send(), one.send()]))
      .continueWith(one.send().set({ displayName: 'last' }))
      .exceptionally(mends)
      .finallyDo(one)
    const run = await client.submit(pipeline, { id: 'p' })
    await run.result({ timeoutMs: PATIENCE_MS })
    const { chain, createdAt, finishedAt } = await run.describe()
    expect([chain!.state, outline(chain!)]).toEqual([
      'done',
      'flaky:done sleep:done fails:failed one:skipped mends:done in parallel:done() last:done mends:skipped one:done',
    ])
    const [first, slept, , skipped, , group] = chain!.entries
    expect(first).toMatchObject({ taskId: 'p/0', kind: 'task', attempt: 3 })
    expect(first!.tookMs).toBeGreaterThanOrEqual(40)
    expect(slept).toMatchObject({ kind: 'sleep', sleepMs: 30 })
    expect(slept!.tookMs).toBeGreaterThanOrEqual(30)
    expect(skipped!.since).toBeUndefined()
    expect(group!.group).toEqual({ size: 2, started: 2, ended: 2, failed: 0, chains: [] })
    const ends = chain!.entries.flatMap(({ since }) => since ?? [])
    expect(ends).toEqual([...ends].sort((a, b) => a - b))
    expect(ends[0]).toBeGreaterThanOrEqual(createdAt!)
    expect(ends.at(-1)).toBeLessThanOrEqual(finishedAt!)
    expect((await run.describe({ maxEntries: 2 })).chain).toMatchObject({ hidden: [0, 6] })
  },
)

test('what is kept of a run that has ended is bounded', async () => {
  const { tasks, worker, client } = system()
  const step = tasks.bind('step', () => 1)
  const long = (length: number): Pipeline<number, void> =>
    Array.from({ length }).reduce<Pipeline<number, void>>((chain) => chain.continueWith(step.send()), step.send())
  const kept = async (treeBytes: number): Promise<ChainDescription | undefined> => {
    const running = await worker({ treeBytes })
    const run = await client().submit(long(400))
    await run.result({ timeoutMs: PATIENCE_MS })
    await running.close()
    return (await run.describe({ maxEntries: 1_000 })).chain
  }
  expect(await kept(0)).toBeUndefined()
  const { entries, hidden } = (await kept(4_096))!
  expect(entries.length).toBeGreaterThan(100)
  expect(hidden).toEqual([0, 401 - entries.length])
  expect((await kept(65_536))!.entries.length).toBe(401)
})

test.each(ways)('a failed pipeline is told down to what failed, and failures of groups by pages, %s', async (way) => {
  const { tasks, worker, client } = world(way)
  const part = tasks.bind('part', (n: number): number => {
    if (n % 4 === 1) throw new RangeError(`no ${n}`)
    return n
  })
  const inner = tasks.bind('inner', () =>
    inParallel(
      Array.from({ length: 3_000 }, (_, n) => (n % 3 === 0 ? part.send(0).continueWith(part.send(n)) : part.send(n))),
    ),
  )
  const sum = tasks.bind('sum', (numbers: number[]) => numbers.length)
  const one = tasks.bind('one', (n: number) => n)
  await worker()
  const run = await client.submit(inner.send().continueWith(sum).continueWith(one), { id: 'q' })
  const error: TaskError = await run.result({ timeoutMs: PATIENCE_MS }).then(
    () => expect.unreachable(),
    (reason: TaskError) => reason,
  )
  expect(error).toMatchObject({ code: 'TASKS_GROUP_FAILED', errorCount: 750 })
  const told = (await client.describe('q', { maxChains: 4, failuresAfter: -1 }))!
  expect(told).toMatchObject({ status: 'FAILED', error: { code: 'TASKS_GROUP_FAILED', errorCount: 750 } })
  const [first, second] = told.chain!.entries
  expect([told.chain!.state, first!.state, second!.state]).toEqual(['failed', 'failed', 'skipped'])
  const group = first!.returned!.entries[0]!
  expect(group).toMatchObject({
    taskId: 'q/0:/0',
    state: 'failed',
    error: { code: 'TASKS_GROUP_FAILED' },
    group: { size: 3_000, started: 3_000, ended: 3_000, failed: 750 },
  })
  expect(group.group!.chains.map((chain) => [chain.index, outline(chain)])).toEqual([
    [1, 'part:failed'],
    [5, 'part:failed'],
    [9, 'part:done part:failed'],
    [13, 'part:failed'],
  ])
  expect(group.group!.chains[2]!.entries[1]).toMatchObject({
    taskId: 'q/0:/0.9/1',
    attempt: 1,
    error: { name: 'RangeError', message: 'no 9', task: { name: 'part', id: 'q/0:/0.9/1', attempt: 1 } },
  })
  // Every failure, by pages of a hundred, though the error holds the first ones only.
  const indices: number[] = []
  for (let page = told.failures!; ;) {
    expect(page.taskId).toBe('q/0:/0')
    indices.push(...page.errors.map(({ index }) => index))
    expect(page.errors.at(-1)!.error.message).toBe(`no ${indices.at(-1)}`)
    if (!page.more) break
    page = (await client.describe('q', { failuresAfter: indices.at(-1)!, failuresOf: 'q/0:/0' }))!.failures!
  }
  expect(indices).toEqual(Array.from({ length: 750 }, (_, n) => 4 * n + 1))
  await expect(client.describe('q', { failuresOf: 'q/0' })).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
  expect(await client.describe('nobody')).toBeUndefined()
})

test('a group that is told in part tells what runs, not what comes first', async () => {
  const { tasks, worker, client } = system()
  const echo = tasks.bind('echo', (n: number) => n)
  const forever = tasks.bind('forever', () => {
    const { signal } = taskContext()
    return new Promise<number>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  })
  await worker()
  const running = [7, 2_900]
  const chains = Array.from({ length: 3_000 }, (_, n) => (running.includes(n) ? forever.send() : echo.send(n)))
  const run = await client().submit(inParallel(chains, { ordered: false }).continueWith(fanOut(echo)))
  await eventually(async () => expect((await run.status()).done).toBe(2_998))
  const { chain } = (await run.describe({ maxChains: 3 })) as { chain: ChainDescription }
  expect(chain.entries[0]!.group!.chains.map((told) => [told.index, outline(told)])).toEqual([
    [0, ''],
    [7, 'forever:running'],
    [2_900, 'forever:running'],
  ])
  expect(chain.entries[1]).toMatchObject({ kind: 'each', state: 'pending' })
  await run.cancel()
})

test('a long chain, and a long recursion, are told where they are', async () => {
  const { tasks, worker, client } = system()
  const echo = tasks.bind('echo', (n: number) => n)
  const count = tasks.bind('count', (left: number): Pipeline<number, void> =>
    left === 0 ? sleep(3_600_000).continueWith(echo.send(1)) : count.send(left - 1),
  )
  await worker()
  const many = Array.from({ length: 500 }).reduce<Pipeline<number, void>>(
    (chain, _, n) => (n === 250 ? chain.continueWith(sleep(3_600_000)) : chain.continueWith(echo)),
    echo.send(1),
  )
  const long = await client().submit(many)
  await eventually(async () => expect((await long.status()).done).toBe(251))
  const { chain } = (await long.describe({ maxEntries: 4 })) as { chain: ChainDescription }
  expect(outline(chain)).toBe('echo:done echo:done sleep:waiting echo:pending')
  expect(chain.hidden).toEqual([249, 248])
  const deep = await client().submit(count, 40)
  await eventually(async () => {
    const { chain: hops } = (await deep.describe()) as { chain: ChainDescription }
    expect([hops.hops, outline(hops)]).toEqual([41, 'sleep:waiting echo:pending'])
  })
})

test.each(ways)('list finds by name, time and status, and says where it goes on, %s', async (way) => {
  const { tasks, worker, client } = world(way)
  const one = tasks.bind('one', () => 1)
  const two = tasks.bind('two', () => 2)
  await worker()
  const first = await client.submit(inParallel([one.send(), two.send()]), { id: 'a' })
  await first.result()
  // Of different partitions, whose clocks may be apart by as long as a claim took: what is later is what they say.
  const createdAt = (await first.status()).createdAt!
  await eventually(() => expect(Date.now()).toBeGreaterThan(createdAt + 100))
  const second = await client.submit(two.send().continueWith(one.send()), { id: 'b' })
  await second.result()
  const third = await client.submit(one.send().set({ displayName: 'two' }), { id: 'c' })
  await third.result()
  const since = new Date(Math.min((await second.status()).createdAt!, (await third.status()).createdAt!))
  const before = createdAt < since.getTime() ? [] : ['a']
  const ids = async (options: ListOptions): Promise<string[]> => {
    const { pipelines, incomplete } = await client.list(options)
    // An owner was kept from answering: what it owns is not in the list, which says so.
    return incomplete ? await ids(options) : pipelines.map(({ id }) => id)
  }
  expect(await ids({})).toEqual(['a', 'b', 'c'])
  expect(await ids({ name: 'one' })).toEqual(['a'])
  expect(await ids({ name: 'two' })).toEqual(['b', 'c'])
  expect(await ids({ name: 'two', since, limit: 1 })).toEqual(['b'])
  expect(await ids({ since })).toEqual([...before, 'b', 'c'])
  expect(await ids({ since: Date.now() + 60_000 })).toEqual([])
  expect(await ids({ status: 'FAILED' })).toEqual([])
  const page = await client.list({ limit: 2 })
  expect(page).toMatchObject({ incomplete: false, after: 'b' })
  expect(await client.list({ limit: 2, after: page.after! })).toMatchObject({ pipelines: [{ id: 'c', name: 'two' }] })
})

test('a list that is too long for one answer comes in several', async () => {
  const { tasks, worker, client, connect } = system({ transport: { maxMessageBytes: 16 << 10 } })
  const one = tasks.bind('one', () => 1)
  await worker()
  const asking = client({}, ownersOnly(connect()))
  const meta = { text: 'x'.repeat(1_000) }
  const ids = Array.from({ length: 100 }, (_, n) => `p${String(n).padStart(3, '0')}`)
  await Promise.all(ids.map(async (id) => (await asking.submit(one.send(), { id, meta })).result()))
  expect((await asking.list()).pipelines.map(({ id }) => id)).toEqual(ids)
  expect((await asking.list({ limit: 37 })).pipelines.map(({ id }) => id)).toEqual(ids.slice(0, 37))
})

test('a list says when it is incomplete, because an owner does not answer', async () => {
  const { connect, client } = system()
  const asking = client({ answerMs: 50 }, ownersOnly(connect()))
  expect(await asking.list()).toEqual({ pipelines: [], incomplete: true })
  // Where rows can be read, nobody has to be up.
  expect(await client().list()).toEqual({ pipelines: [], incomplete: false })
})
