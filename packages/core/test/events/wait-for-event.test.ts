import { describe, expect, test } from 'vitest'
import { inParallel, taskContext, waitForEvent } from '../../src/index'
import { eventually, system, type System } from '../support/system'

const boxes = (sys: System): Promise<string[]> => sys.rows('B')
const waiting = async (sys: System): Promise<number> => (await boxes(sys)).filter((key) => /\/w/.test(key)).length

describe('a pipeline that waits for an event', () => {
  test('takes the value of one that is sent to it, and goes on', async () => {
    const sys = system()
    const ship = sys.tasks.bind('ship', (paid: { amount: number }) => paid.amount * 2)
    await sys.worker()
    const client = sys.client()
    const run = await client.submit(
      waitForEvent<{ amount: number }>({ key: 'paid', pipeline: true }).continueWith(ship),
      {
        id: 'a/order',
      },
    )
    await eventually(async () => expect(await waiting(sys)).toBe(1))
    const described = await run.describe()
    expect(described.chain!.entries[0]).toMatchObject({ kind: 'event', name: 'paid', state: 'waiting' })
    await client.sendEvent({ key: 'paid', pipelineId: 'another', value: { amount: 1 } })
    await client.sendEvent({ key: 'paid', value: { amount: 2 } })
    await client.sendEvent({ key: 'paid', pipelineId: 'a/order', value: { amount: 21 } })
    expect(await run.result()).toBe(42)
  })

  test('takes one that was there before it', async () => {
    const sys = system()
    await sys.worker({ roles: ['owner'] })
    const client = sys.client()
    await client.sendEvent({ key: 'go', pipelineId: 'p', value: 1 })
    await client.sendEvent({ key: 'go', value: 2 })
    const own = await client.submit(waitForEvent({ key: 'go', pipeline: true }), { id: 'p' })
    const all = await client.submit(waitForEvent({ key: 'go' }), { id: 'q' })
    expect(await Promise.all([own.result(), all.result()])).toEqual([1, 2])
    // Each was taken once.
    const late = await client.submit(waitForEvent({ key: 'go' }, { timeoutMs: 50 }), { id: 'r' })
    await expect(late.result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
  })

  test('is woken with all others that wait for its key', async () => {
    const sys = system()
    await sys.worker({ roles: ['owner'] })
    const client = sys.client()
    const ids = Array.from({ length: 600 }, (_, index) => `p${index}`)
    const runs = await Promise.all(ids.map((id) => client.submit(waitForEvent({ key: 'start' }), { id })))
    await eventually(async () => expect(await waiting(sys)).toBe(600))
    await client.sendEvent({ key: 'start', value: 'now' })
    expect(new Set(await Promise.all(runs.map((run) => run.result())))).toEqual(new Set(['now']))
  })

  test('is woken alone by an event for one', async () => {
    const sys = system()
    await sys.worker({ roles: ['owner'] })
    const client = sys.client()
    const runs = await Promise.all(
      Array.from({ length: 5 }, (_, index) => client.submit(waitForEvent<number>({ key: 'job' }), { id: `p${index}` })),
    )
    await eventually(async () => expect(await waiting(sys)).toBe(5))
    for (let job = 0; job < 5; job++) await client.sendEvent({ key: 'job', value: job, wakes: 'one' })
    expect((await Promise.all(runs.map((run) => run.result()))).sort()).toEqual([0, 1, 2, 3, 4])
    await expect(client.sendEvent({ key: 'job', wakes: 'two' as 'one' })).rejects.toMatchObject({
      code: 'TASKS_OPTIONS',
    })
  })

  test('takes only what matches', async () => {
    const sys = system()
    await sys.worker({ roles: ['owner'] })
    const client = sys.client()
    const wait = (id: number) =>
      client.submit(waitForEvent<{ text: string }>({ key: 'paid', match: { 'order.id': id } }), { id: `p${id}` })
    const runs = [await wait(1), await wait(2)]
    await client.sendEvent({ key: 'paid', value: { order: { id: 3 }, text: 'kept' } })
    await client.sendEvent({ key: 'paid', value: { order: { id: 2 }, text: 'two' } })
    await client.sendEvent({ key: 'paid', value: { order: { id: 1 }, text: 'one' } })
    expect((await Promise.all(runs.map((run) => run.result()))).map(({ text }) => text)).toEqual(['one', 'two'])
    expect((await (await wait(3)).result()).text).toBe('kept')
  })

  test('fails when its time is over, which a handler can take; the event is kept for another', async () => {
    const sys = system()
    const remind = sys.tasks.bind('remind', (error: Error & { code?: string }) => error.code)
    await sys.worker()
    const client = sys.client()
    const run = await client.submit(waitForEvent({ key: 'go' }, { timeoutMs: 20 }).exceptionally(remind), { id: 'p' })
    expect(await run.result()).toBe('TASKS_TIMEOUT')
    await client.sendEvent({ key: 'go', value: 'later' })
    expect(await (await client.submit(waitForEvent({ key: 'go' }), { id: 'q' })).result()).toBe('later')
  })

  test('counts an event once, however often it is sent', async () => {
    const sys = system()
    await sys.worker({ roles: ['owner'] })
    const client = sys.client()
    const send = (): Promise<string> => client.sendEvent({ key: 'go', id: 'e1', value: 1 })
    await Promise.all([send(), send(), send()])
    expect(await (await client.submit(waitForEvent({ key: 'go' }), { id: 'p' })).result()).toBe(1)
    await send()
    const late = await client.submit(waitForEvent({ key: 'go' }, { timeoutMs: 100 }), { id: 'q' })
    await expect(late.result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
  })

  test('waits in a group, and leaves nothing behind when it is cancelled', async () => {
    const sys = system()
    const echo = sys.tasks.bind('echo', (x: unknown) => x)
    await sys.worker()
    const client = sys.client()
    const both = inParallel([waitForEvent({ key: 'a' }), waitForEvent({ key: 'b' }).continueWith(echo)])
    const run = await client.submit(both, { id: 'p' })
    await eventually(async () => expect(await waiting(sys)).toBe(2))
    await client.sendEvent({ key: 'b', value: 'B' })
    await client.sendEvent({ key: 'a', value: 'A' })
    expect(await run.result()).toEqual(['A', 'B'])
    const cancelled = await client.submit(both, { id: 'q' })
    await eventually(async () => expect((await cancelled.describe()).chain!.entries[0]!.group!.started).toBe(2))
    await cancelled.cancel()
    await expect(cancelled.result()).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
    await client.sendEvent({ key: 'a', value: 'kept' })
    expect(await (await client.submit(waitForEvent({ key: 'a' }), { id: 'r' })).result()).toBe('kept')
  })

  test('is woken by a task, once for all attempts of it', async () => {
    const sys = system()
    let tries = 0
    const tell = sys.tasks.bind(
      'tell',
      async () => {
        await taskContext().sendEvent({ key: 'told', value: ++tries })
        if (tries === 1) throw new Error('again')
      },
      { retry: { maxRetries: 1, delayMs: 1 } },
    )
    await sys.worker()
    const client = sys.client()
    await (await client.submit(tell.send(), { id: 'teller' })).result()
    expect(await (await client.submit(waitForEvent({ key: 'told' }), { id: 'p' })).result()).toBe(1)
    const late = await client.submit(waitForEvent({ key: 'told' }, { timeoutMs: 100 }), { id: 'q' })
    await expect(late.result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
  })

  test('goes on after a pause, and waits again when it is retried', async () => {
    const sys = system()
    const echo = sys.tasks.bind('echo', (x: unknown) => x)
    await sys.worker()
    const client = sys.client()
    const run = await client.submit(waitForEvent({ key: 'go', pipeline: true }).continueWith(echo), { id: 'p' })
    await run.pause()
    await client.sendEvent({ key: 'go', pipelineId: 'p', value: 1 })
    await eventually(async () => expect((await run.describe()).chain!.entries[1]).toMatchObject({ state: 'held' }))
    await run.resume()
    expect(await run.result()).toBe(1)
    const failed = await client.submit(waitForEvent({ key: 'go', pipeline: true }, { timeoutMs: 1 }), { id: 'q' })
    await expect(failed.result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
    await client.sendEvent({ key: 'go', pipelineId: 'q', value: 2 })
    expect(await (await failed.retry()).result()).toBe(2)
  })

  test('is told to subscribers, with the value', async () => {
    const sys = system()
    await sys.worker({ roles: ['owner'] })
    const client = sys.client()
    const stream = await client.subscribe({ key: 'news' })
    await client.sendEvent({ key: 'other', value: 0 })
    await client.sendEvent({ key: 'news', pipelineId: 'p', id: 'n1', value: { at: new Date(0) } })
    for await (const item of stream) {
      expect(item).toMatchObject({
        event: { subject: 'news', rootid: 'p', data: { key: 'news', value: { at: new Date(0) } } },
      })
      break
    }
  })
})

test('what is no event is refused', async () => {
  expect(() => waitForEvent({ key: '' })).toThrow(/event key/)
  expect(() => waitForEvent({ key: 'a', match: { x: {} as never } })).toThrow(/match/)
  // No event could have it.
  expect(() => waitForEvent({ key: 'a', match: { x: 'y'.repeat(257) } })).toThrow(/at most 256 characters/)
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x${i}`, i]))
  expect(() => waitForEvent({ key: 'a', match: many })).toThrow(/at most 100 paths, not 101/)
  expect(() => waitForEvent({ key: 'a' }, { timeoutMs: -1 })).toThrow(/timeoutMs/)
  expect(() => waitForEvent({ key: 'a' }).withInitial({ args: [1] as never })).toThrow(/nothing takes args/)
  const client = system().client()
  await expect(client.sendEvent({ key: '' })).rejects.toMatchObject({ code: 'TASKS_ID_INVALID' })
  await expect(client.sendEvent({ key: 'a', value: 'x'.repeat(1 << 20) })).rejects.toMatchObject({
    code: 'TASKS_VALUE_TOO_LARGE',
  })
})
