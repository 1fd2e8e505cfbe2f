import { silentLogger } from '@tasks/core/testing'
import { describe, expect, test } from 'vitest'
import { queueListener, receiveMessages } from '../src/index'
import { eventually } from './support/eventually'
import { MemoryQueue } from './support/memory-queue'

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a listener of a queue', () => {
  test('gives each who waits a message, in turn, by few calls of the driver', async () => {
    const queue = new MemoryQueue()
    const listener = queueListener<number>(queue)
    const waits = Array.from({ length: 100 }, () => listener.pollForEvent({ signal: new AbortController().signal }))
    queue.push(...Array.from({ length: 100 }, (_, i) => String(i)))
    const events = await Promise.all(waits)
    expect(events.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(queue.calls).toBeLessThan(5)
    await listener.eventCheckpointed!(events[7]!)
    expect([queue.size, queue.log]).toEqual([99, ['acknowledged m8']])
  })

  test('gives back what came for somebody who has gone', async () => {
    const queue = new MemoryQueue()
    const listener = queueListener(queue)
    const [first, second] = [new AbortController(), new AbortController()]
    const gone = listener.pollForEvent({ signal: first.signal })
    const stays = listener.pollForEvent({ signal: second.signal })
    await turn()
    first.abort(new Error('cancelled'))
    await expect(gone).rejects.toThrow('cancelled')
    queue.push('1')
    expect(await stays).toMatchObject({ value: 1 })
    // The last who goes ends the call; what comes then stays where it is.
    const alone = listener.pollForEvent({ signal: second.signal })
    await turn()
    second.abort(new Error('closing'))
    await expect(alone).rejects.toThrow('closing')
    queue.push('2')
    await turn()
    expect(await listener.pollForEvent({ signal: new AbortController().signal })).toMatchObject({ value: 2 })
    await expect(listener.pollForEvent({ signal: first.signal })).rejects.toThrow('cancelled')
  })

  test('tells those who wait when its queue fails, and asks again when they do', async () => {
    const queue = new MemoryQueue()
    let fails = true
    const listener = queueListener({
      receive: (most, signal) => (fails ? Promise.reject(new Error('no connection')) : queue.receive(most, signal)),
      acknowledge: (token) => queue.acknowledge(token),
      giveBack: (token) => queue.giveBack(token),
    })
    const { signal } = new AbortController()
    await expect(listener.pollForEvent({ signal })).rejects.toThrow('no connection')
    fails = false
    queue.push('1')
    expect(await listener.pollForEvent({ signal })).toMatchObject({ id: 'm1', value: 1 })
  })

  test('leaves in the queue what it cannot read, and waits on', async () => {
    const queue = new MemoryQueue()
    const { signal } = new AbortController()
    queue.push('no JSON', '2')
    const numbers = queueListener(queue, { logger: silentLogger })
    expect(await numbers.pollForEvent({ signal })).toMatchObject({ id: 'm2', value: 2 })
    expect([queue.size, queue.log]).toEqual([2, []])
    const words = queueListener(queue, { decode: (body) => body.split(' ') })
    queue.endLeases()
    expect((await words.pollForEvent({ signal })).value).toEqual(['no', 'JSON'])
  })

  test('gives up what it could not read so often', async () => {
    const queue = new MemoryQueue()
    const { signal } = new AbortController()
    const given: unknown[] = []
    const logged: unknown[] = []
    const listener = queueListener(queue, {
      maxDeliveries: 2,
      giveUp(message) {
        given.push(message)
        if (given.length === 1) throw new Error('not yet')
      },
      logger: { ...silentLogger, error: (fields) => logged.push(fields) },
    })
    const polling = listener.pollForEvent({ signal })
    queue.push('no JSON')
    await eventually(() => expect(logged).toHaveLength(1))
    expect(given).toEqual([])
    queue.endLeases()
    // Who is to have it cannot take it: it is still there.
    await eventually(() => expect(logged).toHaveLength(2))
    expect([queue.size, queue.log]).toEqual([1, []])
    queue.endLeases()
    await eventually(() => expect(queue.size).toBe(0))
    const error = expect.objectContaining({ code: 'TASKS_UNDECODABLE' })
    expect(given.at(-1)).toEqual({ id: 'm1', body: 'no JSON', deliveries: 3, error })
    queue.push('1')
    expect(await polling).toMatchObject({ value: 1 })
  })
})

describe('what receives messages', () => {
  test('acknowledges each when it was handled, and has one again for which that failed', async () => {
    const queue = new MemoryQueue()
    const seen: string[] = []
    const receiver = receiveMessages<number>(
      queue,
      ({ id, value }) => {
        seen.push(`${id}: ${value}`)
        if (value === 2 && seen.length < 4) throw new Error('not now')
      },
      { logger: silentLogger },
    )
    queue.push('1', '2', '3')
    await eventually(() => expect(queue.size).toBe(1))
    expect(seen).toEqual(['m1: 1', 'm2: 2', 'm3: 3'])
    queue.endLeases()
    await eventually(() => expect(queue.size).toBe(0))
    expect(seen).toEqual(['m1: 1', 'm2: 2', 'm3: 3', 'm2: 2'])
    await receiver.close()
    queue.push('4')
    await turn()
    expect([queue.size, seen.length]).toEqual([1, 4])
  })

  test('has no more in its hands than it may, and waits for none of them before it takes another', async () => {
    const queue = new MemoryQueue()
    const ends: (() => void)[] = []
    const receiver = receiveMessages(queue, () => new Promise<void>((resolve) => ends.push(resolve)), {
      concurrency: 2,
      logger: silentLogger,
    })
    queue.push('1', '2', '3', '4')
    await eventually(() => expect(ends).toHaveLength(2))
    await turn()
    expect(ends).toHaveLength(2)
    // The first goes on for as long as it likes.
    ends[1]!()
    await eventually(() => expect(ends).toHaveLength(3))
    ends[2]!()
    await eventually(() => expect(ends).toHaveLength(4))
    for (const end of ends) end()
    await receiver.close()
    expect(queue.size).toBe(0)
  })

  test('gives up a message with which every process has died', async () => {
    const queue = new MemoryQueue()
    queue.push('1')
    // Others had it.
    for (let times = 0; times < 2; times++) {
      await queue.receive(1, new AbortController().signal)
      queue.endLeases()
    }
    const given: unknown[] = []
    const receiver = receiveMessages(queue, () => expect.unreachable(), {
      maxDeliveries: 2,
      giveUp: ({ id, error }) => given.push([id, error]),
      logger: silentLogger,
    })
    await eventually(() => expect(queue.size).toBe(0))
    expect(given).toEqual([['m1', expect.objectContaining({ code: 'TASKS_MAX_DELIVERIES' })]])
    await receiver.close()
  })

  test('closes when what it has begun is done', async () => {
    const queue = new MemoryQueue()
    let end: () => void = () => undefined
    const receiver = receiveMessages(queue, () => new Promise<void>((resolve) => (end = resolve)), {
      logger: silentLogger,
    })
    queue.push('1')
    await eventually(() => expect(queue.calls).toBe(1))
    await turn()
    let closed = false
    const closing = receiver.close().then(() => (closed = true))
    await turn()
    expect(closed).toBe(false)
    end()
    await closing
    expect(queue.size).toBe(0)
  })
})
