import { describe, expect, test } from 'vitest'
import { taskContext, waitForEvent, type EventListener } from '../../src/index'
import { virtualClock } from '../../src/testing/virtual-clock'
import { eventually, later, system } from '../support/system'

/** A source that keeps a message until it is acknowledged, as a queue of a broker does. */
class Source implements EventListener<[topic: string], { readonly id: number; readonly text: string }> {
  readonly messages: { id: number; topic: string; text: string }[] = []
  readonly log: string[] = []
  polls = 0
  failPolls = 0
  failCheckpoints = 0

  async pollForEvent(topic: string, { signal }: { signal: AbortSignal }) {
    this.polls++
    if (this.failPolls-- > 0) throw new Error('the source is down')
    for (;;) {
      signal.throwIfAborted()
      const message = this.messages.find((each) => each.topic === topic)
      if (message !== undefined) {
        this.log.push(`polled ${message.id}`)
        return { id: message.id, text: message.text }
      }
      await later(2)
    }
  }

  async eventCheckpointed({ id }: { id: number }): Promise<void> {
    if (this.failCheckpoints-- > 0) throw new Error('not now')
    this.log.push(`checkpointed ${id}`)
    const at = this.messages.findIndex((each) => each.id === id)
    if (at >= 0) this.messages.splice(at, 1)
  }
}

describe('a listener', () => {
  test('gives its event to the pipeline, after its source was told that it is safe', async () => {
    const sys = system()
    const source = new Source()
    const orders = sys.tasks.bindListener('orders', source)
    const handle = sys.tasks.bind('handle', ({ text }: { text: string }) => {
      source.log.push(`handled ${text}`)
      return text
    })
    await sys.worker()
    const run = await sys.client().submit(waitForEvent(orders, 'eu').continueWith(handle), { id: 'p' })
    source.messages.push({ id: 1, topic: 'us', text: 'no' }, { id: 2, topic: 'eu', text: 'yes' })
    expect(await run.result()).toBe('yes')
    expect(source.log).toEqual(['polled 2', 'checkpointed 2', 'handled yes'])
    expect(source.messages).toHaveLength(1)
  })

  test('is asked again when it fails, before the commit and after it', async () => {
    const sys = system()
    const source = new Source()
    source.failPolls = 2
    source.failCheckpoints = 2
    const orders = sys.tasks.bindListener('orders', source, { retry: { maxRetries: 5, delayMs: 1 } })
    await sys.worker()
    const run = await sys.client().submit(waitForEvent(orders, 'eu'), { id: 'p' })
    source.messages.push({ id: 1, topic: 'eu', text: 'once' })
    expect(await run.result()).toEqual({ id: 1, text: 'once' })
    // Committed once: it was not polled again for the sake of the checkpoint.
    expect(source.log).toEqual(['polled 1', 'checkpointed 1'])
  })

  test('holds up no task, however long it polls', async () => {
    const sys = system()
    const source = new Source()
    const orders = sys.tasks.bindListener('orders', source)
    const quick = sys.tasks.bind('quick', () => 'done')
    await sys.worker({ concurrency: 1 })
    const client = sys.client()
    const waits = await Promise.all(
      Array.from({ length: 20 }, (_, i) => client.submit(waitForEvent(orders, `t${i}`), { id: `w${i}` })),
    )
    await eventually(() => expect(source.polls).toBe(20))
    expect(await (await client.submit(quick.send())).result()).toBe('done')
    for (let i = 0; i < 20; i++) source.messages.push({ id: i, topic: `t${i}`, text: `${i}` })
    expect((await Promise.all(waits.map((run) => run.result()))).map(({ text }) => Number(text))).toEqual(
      waits.map((_, i) => i),
    )
  })

  test('ends with its time, and with its pipeline', async () => {
    const sys = system()
    const source = new Source()
    const late = sys.tasks.bindListener('late', source, { timeoutMs: 30 })
    const orders = sys.tasks.bindListener('orders', source)
    await sys.worker()
    const client = sys.client()
    await expect((await client.submit(waitForEvent(late, 'x'))).result()).rejects.toMatchObject({
      code: 'TASKS_TIMEOUT',
    })
    const run = await client.submit(waitForEvent(orders, 'y'), { id: 'p' })
    await eventually(() => expect(source.polls).toBe(2))
    await run.cancel()
    await expect(run.result()).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
  })

  test('is given its time once: neither a poll that fails nor a worker that dies begins it anew', async () => {
    const clock = virtualClock()
    const sys = system({ clock })
    let polls = 0
    const deadlines = new Set<number | undefined>()
    const never: EventListener<[], never> = {
      async pollForEvent({ signal }) {
        deadlines.add(taskContext().deadline)
        if (polls++ === 0) throw new Error('the source is down')
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
      },
    }
    const bound = sys.tasks.bindListener('never', never, { timeoutMs: 60_000, retry: { maxRetries: 3, delayMs: 1 } })
    const first = await sys.worker({ leaseMs: 1_000 })
    const began = clock.now()
    const run = await sys.client().submit(waitForEvent(bound))
    await clock.advance(5_000)
    expect(polls).toBe(2)
    first.transport.crash()
    const second = await sys.worker({ leaseMs: 1_000 })
    const ended = run.result().then(
      () => 'well',
      (error: { code: string }) => `${error.code} after ${Math.floor((clock.now() - began) / 5_000) * 5} s`,
    )
    await clock.advance(70_000)
    expect(await ended).toBe('TASKS_TIMEOUT after 60 s')
    expect(polls).toBeGreaterThan(2)
    expect(deadlines.size).toBe(1)
    // A retry of the pipeline is another wait, with a time of its own: that, too, is given once.
    polls = 0
    const retried = clock.now()
    const again = run.retry()
    await clock.advance(5_000)
    const handle = await again
    expect(await handle.status()).toMatchObject({ status: 'RUNNING' })
    second.transport.crash()
    await sys.worker({ leaseMs: 1_000 })
    const over = handle.result().catch(({ code }: { code: string }) => code)
    await clock.advance(45_000)
    expect(await handle.status()).toMatchObject({ status: 'RUNNING' })
    expect(polls).toBeGreaterThan(2)
    await clock.advance(15_000)
    expect(await over).toBe('TASKS_TIMEOUT')
    expect(clock.now() - retried).toBeLessThan(70_000)
    expect(deadlines.size).toBe(2)
  })

  test('needs a slot for its polls alone: what is short goes on though all of them are taken', async () => {
    const sys = system()
    const source = new Source()
    const orders = sys.tasks.bindListener('orders', source, { timeoutMs: 60_000 })
    let limits = 0
    sys.tasks.events.on('taskFinished', ({ context }) => void (limits += context.taskName.endsWith(':limit') ? 1 : 0))
    await sys.worker({ listenerSlots: 1 })
    const client = sys.client()
    const run = await client.submit(waitForEvent(orders, 'eu'), { id: 'first' })
    await eventually(() => expect(source.polls).toBe(1))
    await client.submit(waitForEvent(orders, 'nobody'), { id: 'idle' })
    // Its time is known, and its poll is next in line.
    await eventually(() => expect(limits).toBe(2))
    await later(50)
    source.messages.push({ id: 1, topic: 'eu', text: 'safe' })
    await eventually(() => expect(source.polls).toBe(2))
    expect(await run.result()).toMatchObject({ text: 'safe' })
    expect(source.log).toEqual(['polled 1', 'checkpointed 1'])
  })

  test('can be waited for no longer than so long in one place, and for ever in another', async () => {
    const sys = system()
    const source = new Source()
    const orders = sys.tasks.bindListener('orders', source, { timeoutMs: 3_600_000 })
    await sys.worker()
    const client = sys.client()
    const brief = await client.submit(waitForEvent(orders.set({ timeoutMs: 30 }), 'eu'))
    await expect(brief.result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
    const long = await client.submit(waitForEvent(orders, 'eu'))
    source.messages.push({ id: 1, topic: 'eu', text: 'late' })
    expect(await long.result()).toMatchObject({ text: 'late' })
    expect(() => orders.set({ timeoutMs: 0 })).toThrow(/timeoutMs must be a finite number above 0/)
    expect(() => orders.set({ retry: {} } as never)).toThrow(/no option "retry"/)
  })

  test('goes on with another worker, at once when the first one closes, and when it was killed', async () => {
    const sys = system()
    const source = new Source()
    const orders = sys.tasks.bindListener('orders', source)
    const first = await sys.worker({ leaseMs: 300 })
    const client = sys.client()
    const run = await client.submit(waitForEvent(orders, 'eu'), { id: 'p' })
    await eventually(() => expect(source.polls).toBe(1))
    const second = await sys.worker({ leaseMs: 300 })
    const before = performance.now()
    await first.close()
    expect(performance.now() - before).toBeLessThan(5_000)
    await eventually(() => expect(source.polls).toBe(2))
    second.transport.crash()
    await sys.worker({ leaseMs: 300 })
    await eventually(() => expect(source.polls).toBeGreaterThan(2))
    source.messages.push({ id: 1, topic: 'eu', text: 'survived' })
    expect((await run.result()).text).toBe('survived')
  })
})

test('what is no listener is refused', () => {
  const { tasks } = system()
  expect(() => tasks.bindListener('x', {} as never)).toThrow(/pollForEvent/)
  expect(() => tasks.bindListener('a b', new Source())).toThrow(/queue/)
  tasks.bindListener('twice', new Source())
  expect(() => tasks.bindListener('twice', new Source())).toThrow(/already bound/)
})
