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

  test('leaves in the queue what it cannot read', async () => {
    const queue = new MemoryQueue()
    const { signal } = new AbortController()
    queue.push('no JSON', 'no JSON')
    await expect(queueListener(queue).pollForEvent({ signal })).rejects.toMatchObject({ code: 'TASKS_UNDECODABLE' })
    expect(queue.size).toBe(2)
    const words = queueListener(queue, { decode: (body) => body.split(' ') })
    expect((await words.pollForEvent({ signal })).value).toEqual(['no', 'JSON'])
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
    await eventually(() => expect(queue.size).toBe(0))
    expect(seen).toEqual(['m1: 1', 'm2: 2', 'm3: 3', 'm2: 2'])
    expect(queue.log).toContain('gave back m2')
    await receiver.close()
    queue.push('4')
    await turn()
    expect([queue.size, seen.length]).toEqual([1, 4])
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
