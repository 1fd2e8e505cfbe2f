import { describe, expect, test } from 'vitest'
import type { CloudEvent, EventItem, EventStream, Task } from '../../src/index'
import { partitionOf } from '../../src/ids'
import { silentLogger } from '../../src/testing/silent-logger'
import { eventually, NAMESPACE, system, type System } from '../support/system'

/** Takes the next `count` items of a stream. */
async function take(stream: AsyncIterable<EventItem>, count: number): Promise<readonly EventItem[]> {
  const items: EventItem[] = []
  for await (const item of stream) if (items.push(item) === count) break
  return items
}

const eventOf = (item: EventItem): CloudEvent | undefined => (item.kind === 'event' ? item.event : undefined)
const told = (items: readonly EventItem[]): string[] =>
  items.map((item) => {
    const event = eventOf(item)
    return event === undefined ? 'gap' : `${event.subject} ${(event.data as { status?: string }).status ?? 'created'}`
  })

const withTask = (sys: System): Task<[number], number> => sys.tasks.bind('echo', (n: number) => n)

async function run(sys: System, echo: Task<[number], number>, ids: readonly string[]): Promise<void> {
  const client = sys.client()
  for (const id of ids) await (await client.submit(echo, 1, { id })).result()
}

describe('a subscription', () => {
  test('tells what comes, in order', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    const client = sys.client()
    const stream = await client.subscribe({ types: 'pipeline.status' })
    for (const id of ['a', 'b']) await (await client.submit(echo, 1, { id })).result()
    const items = await take(stream, 4)
    expect(told(items).sort()).toEqual(['a COMPLETED', 'a RUNNING', 'b COMPLETED', 'b RUNNING'])
  })

  test('begins at the beginning, at a time, or after a position', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    const client = sys.client()
    const submit = async (): Promise<void> => void (await (await client.submit(echo, 1, { id: 'p' })).result())
    await submit()
    await new Promise((resolve) => setTimeout(resolve, 5))
    const since = new Date()
    await new Promise((resolve) => setTimeout(resolve, 5))
    await client.delete('p')
    await eventually(async () => expect(await client.status('p')).toBeUndefined())
    await submit()
    const options = { pipelineId: 'p' }
    const all = await take(await client.subscribe({ ...options, from: 'beginning' }), 6)
    expect(told(all)).toEqual(['p created', 'p RUNNING', 'p COMPLETED', 'p created', 'p RUNNING', 'p COMPLETED'])
    for (const [index, item] of all.slice(0, -1).entries()) {
      const rest = await take(await sys.client().subscribe({ ...options, from: item.position }), all.length - 1 - index)
      expect(rest.map((each) => eventOf(each)!.id)).toEqual(all.slice(index + 1).map((each) => eventOf(each)!.id))
    }
    expect(told(await take(await client.subscribe({ ...options, from: since }), 3))).toEqual(told(all.slice(3)))
  })

  test('reads every partition in its turn, however much there is in one', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    const at = (partition: number, count: number): string[] =>
      Array.from({ length: 1_000 }, (_, i) => `p${i}`)
        .filter((id) => partitionOf(id, 4) === partition)
        .slice(0, count)
    // More than a page: each has commits of its own.
    await run(sys, echo, [...at(0, 80), ...at(1, 1)])
    const all = await take(await sys.client().subscribe({ from: 'beginning' }), 81 * 3)
    const subjects = all.map((item) => eventOf(item)!.subject)
    expect(subjects.indexOf(at(1, 1)[0]!)).toBeLessThan(subjects.lastIndexOf(at(0, 80).at(-1)!))
  })

  test('refuses what it cannot mean', async () => {
    const client = system().client()
    const refused = (options: object): Promise<unknown> => client.subscribe(options).catch((error: unknown) => error)
    expect(await refused({ types: 'Pipeline!' })).toMatchObject({ code: 'TASKS_OPTIONS' })
    expect(await refused({ type: 'pipeline.*' })).toMatchObject({ code: 'TASKS_OPTIONS' })
    expect(await refused({ from: 17 })).toMatchObject({ code: 'TASKS_OPTIONS' })
    expect(await refused({ from: 'yesterday' })).toMatchObject({ code: 'TASKS_ARGUMENTS' })
    expect(await refused({ pipelineId: '' })).toMatchObject({ code: 'TASKS_ID_INVALID' })
    expect(await refused({ maxBatch: 0 })).toMatchObject({ code: 'TASKS_OPTIONS' })
  })

  test('ends when it is closed, by its signal, and with its client', async () => {
    const client = system().client()
    const ended = (stream: EventStream): Promise<readonly EventItem[]> => take(stream, 1)
    const [one, aborting] = [await client.subscribe(), new AbortController()]
    const waits = [ended(one), ended(await client.subscribe({ signal: aborting.signal }))]
    await one.close()
    aborting.abort()
    expect(await Promise.all(waits)).toEqual([[], []])
    const last = ended(await client.subscribe())
    const settled = last.catch((error: unknown) => error)
    await new Promise((resolve) => setTimeout(resolve, 10))
    await client.close()
    expect(await settled).toMatchObject({ code: 'TASKS_CLOSED' })
  })

  test('is told of what retention took before it came', async () => {
    const sys = system()
    const echo = withTask(sys)
    const transport = sys.connect()
    const space = await transport.open({ namespace: NAMESPACE, retention: { maxBytes: 2_000 } })
    await sys.worker({}, transport)
    const client = sys.client()
    const options = { pipelineId: 'p' }
    const stream = await client.subscribe(options)
    for (let i = 0; i < 10; i++) {
      await (await client.submit(echo, 1, { id: 'p', onDuplicate: 'restart' })).result()
    }
    const [gap, ...rest] = await take(stream, 3)
    expect(gap!.kind).toBe('gap')
    expect(rest.every(({ kind }) => kind === 'event')).toBe(true)
    expect((await take(await client.subscribe({ ...options, from: 'beginning' }), 1))[0]!.kind).toBe('event')
    await space.close()
  })

  test('tells once what the log says twice', async () => {
    const sys = system({
      transport: { faults: { deliver: ({ target }) => (target.to === 'events' ? 'twice' : undefined) } },
    })
    const echo = withTask(sys)
    await sys.worker()
    const client = sys.client()
    await (await client.submit(echo, 1, { id: 'p' })).result()
    await (await client.submit(echo, 1, { id: 'p', onDuplicate: 'restart' })).result()
    const items = await take(await client.subscribe({ pipelineId: 'p', from: 'beginning' }), 6)
    expect(told(items)).toEqual(['p created', 'p RUNNING', 'p COMPLETED', 'p created', 'p RUNNING', 'p COMPLETED'])
  })
})

describe('a handler of events', () => {
  test('gets batches, one after the other, no larger than asked for', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker({ events: 'tasks' })
    const sizes: number[] = []
    let running = 0
    const seen: string[] = []
    const subscription = await sys.client().subscribe({ maxBatch: 2 }, async (batch) => {
      expect(++running).toBe(1)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running--
      sizes.push(batch.length)
      seen.push(...told(batch))
    })
    await run(sys, echo, ['a', 'b', 'c'])
    await eventually(() => expect(seen.filter((each) => each.endsWith('COMPLETED'))).toHaveLength(3))
    await subscription.close()
    await subscription.closed
    expect(Math.max(...sizes)).toBe(2)
  })

  test('that throws ends its subscription, which says so, and so does the log', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    const errors: unknown[] = []
    const logger = { ...silentLogger, error: (details: object) => void errors.push(details) }
    const { closed } = await sys.client({ logger }).subscribe({}, () => {
      throw new RangeError('cannot')
    })
    await run(sys, echo, ['a'])
    await expect(closed).rejects.toThrow('cannot')
    expect(errors).toMatchObject([{ error: { message: 'cannot' } }])
  })

  test('can close its subscription', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    let calls = 0
    const subscription = await sys.client().subscribe({}, async () => {
      calls++
      await subscription.close()
    })
    await run(sys, echo, ['a'])
    await subscription.closed
    expect(calls).toBe(1)
  })
})

describe('a named subscription', () => {
  const options = { name: 'mail', types: 'pipeline.status' }

  test('goes on where it was, and misses nothing in between', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    const seen: string[] = []
    const note = (batch: readonly EventItem[]): void => void seen.push(...told(batch))
    const first = await sys.client().subscribe(options, note)
    await run(sys, echo, ['a'])
    await eventually(() => expect(seen).toEqual(['a RUNNING', 'a COMPLETED']))
    await first.close()
    await run(sys, echo, ['b'])
    const second = await sys.client().subscribe(options, note)
    await eventually(() => expect(seen.slice(2)).toEqual(['b RUNNING', 'b COMPLETED']))
    await second.close()
    await sys.client().unsubscribe('mail')
    const again = await sys.client().subscribe({ ...options, from: 'beginning' }, note)
    await eventually(() =>
      expect(seen.slice(4).sort()).toEqual(['a COMPLETED', 'a RUNNING', 'b COMPLETED', 'b RUNNING']),
    )
    await again.close()
  })

  test('gives positions from which nothing is missed', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker({ events: 'tasks' })
    const every = { types: 'pipeline.*' }
    const client = sys.client()
    await (await client.subscribe({ ...every, name: 'mail' })).close()
    await run(sys, echo, ['a', 'b', 'c'])
    // It is behind what is new.
    const named = await take(await client.subscribe({ ...every, name: 'mail' }), 9)
    const seen = new Set<string>()
    for (const item of named) {
      seen.add(eventOf(item)!.id)
      const rest = await client.subscribe({ ...every, from: item.position, follow: false })
      for await (const later of rest) seen.add(`${item.position} ${eventOf(later)!.id}`)
      for (const later of named.slice(named.indexOf(item) + 1))
        expect(seen).toContain(`${item.position} ${eventOf(later)!.id}`)
    }
  })

  test('shares the events among its members', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    const seen: string[][] = [[], [], []]
    for (const mine of seen) await sys.client().subscribe(options, (batch) => void mine.push(...told(batch)))
    const ids = Array.from({ length: 20 }, (_, i) => `p${i}`)
    await run(sys, echo, ids)
    await eventually(() => expect(seen.flat()).toHaveLength(40))
    expect(new Set(seen.flat()).size).toBe(40)
  })

  test('hands a batch to its handler again, when that has failed', async () => {
    const sys = system()
    const echo = withTask(sys)
    await sys.worker()
    let calls = 0
    const seen: string[] = []
    await sys.client().subscribe(options, (batch) => {
      if (calls++ === 0) throw new Error('not yet')
      seen.push(...told(batch))
    })
    await run(sys, echo, ['a'])
    await eventually(() => expect(seen).toEqual(['a RUNNING', 'a COMPLETED']))
  })
})
