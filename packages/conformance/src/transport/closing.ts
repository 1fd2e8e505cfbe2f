import assert from 'node:assert/strict'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, rejects, toTask } from '../content'
import { within } from '../patience'

export const closing: readonly ConformanceCase[] = [
  {
    name: 'closes twice',
    promise: 'closing',
    because: 'a signal handler and a `finally` both do',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space)
      const address = await space.replies(() => {})
      for (const thing of [consumer, address, space, stage.transportOf(space)]) {
        await Promise.all([thing.close(), thing.close()])
        await within(stage.eventuallyMs, 'a second close', thing.close())
      }
    }),
  },
  {
    name: 'ends what waits when it is closed',
    promise: 'closing',
    because: 'a shutdown that waits for a wait of 30 s is killed half-way',
    run: staged(async (stage) => {
      const space = await stage.open()
      const session = await stage.own(space).session(0)
      const waitMs = stage.eventuallyMs * 10
      const receiving = stage.consume(space).receive({ max: 1, waitMs, suspects: true })
      const polling = session.poll({ max: 1, waitMs })
      const reading = space.events.read({ after: new Map([[0, undefined]]), max: 1, waitMs })
      const waits = Promise.allSettled([receiving, polling, reading])
      await stage.pause(10)
      await within(stage.eventuallyMs, 'close', stage.transportOf(space).close())
      const ended = await within(stage.eventuallyMs, 'waits on a closed connection', waits)
      for (const wait of ended) {
        if (wait.status === 'fulfilled') assert.deepEqual(wait.value, [])
        else assert.equal((wait.reason as { code?: string }).code, 'TASKS_CLOSED', String(wait.reason))
      }
    }),
  },
  {
    name: 'ends the receive of a consumer that is closed, and leaves the others',
    promise: 'closing',
    because: 'a worker stops taking tasks long before it stops finishing them',
    run: staged(async (stage) => {
      const space = await stage.open()
      const [closed, open] = [stage.consume(space), stage.consume(space)]
      const waiting = closed.receive({ max: 1, waitMs: stage.eventuallyMs * 10, suspects: true })
      const settled = waiting.catch((error: unknown) => assert.equal((error as { code?: string }).code, 'TASKS_CLOSED'))
      await stage.pause(10)
      await closed.close()
      await within(stage.eventuallyMs, 'the receive of a closed consumer', settled)
      await space.send([toTask('q', 'a'), toTask('q', 'b')])
      await stage.collect(open, 2, { ack: true })
    }),
  },
  {
    name: 'closes while a handler is stuck',
    promise: 'closing',
    because: 'one task in an endless loop must not keep the process from ending',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space, { stuck: true })
      await owner.session(0)
      await within(stage.eventuallyMs, 'close', stage.transportOf(space).close())
    }),
  },
  {
    name: 'refuses every call after it was closed',
    promise: 'closing',
    because: 'a send that goes nowhere and says nothing is a lost one',
    run: staged(async (stage) => {
      const space = await stage.open()
      const transport = stage.transportOf(space)
      const session = await stage.own(space, { stuck: true }).session(0)
      const consumer = stage.consume(space)
      await space.send([toTask('q', 'a')])
      const [lease] = await stage.receive(consumer)
      const member = await space.events.subscribe({ name: 's', from: [undefined, undefined], leaseMs: 1000 })
      await transport.close()
      const calls: Record<string, () => unknown> = {
        open: () => transport.open({ namespace: stage.namespace }),
        send: () => space.send([toTask('q', 'b')]),
        consume: () => space.consume({ queues: ['q'], leaseMs: 1000 }).receive({ max: 1, waitMs: 0, suspects: false }),
        own: () => space.own({ leaseMs: 1000 }).run(async () => {}, new AbortController().signal),
        replies: () => space.replies(() => {}),
        signal: () => space.signal(bytes('x')),
        backlog: () => space.backlog('q'),
        now: () => space.now(),
        receive: () => consumer.receive({ max: 1, waitMs: 0, suspects: false }),
        settle: () => consumer.settle([{ lease: lease!, op: 'ack' }], []),
        extend: () => consumer.extend([lease!]),
        load: () => session.load(['e/a']),
        scan: () => session.scan('e/', undefined, 1),
        poll: () => session.poll({ max: 1, waitMs: 0 }),
        commit: () => session.commit(commitOf(1)),
        'events.read': () => space.events.read({ after: new Map([[0, undefined]]), max: 1, waitMs: 0 }),
        'events.positions': () => space.events.positions(),
        'events.subscribe': () => space.events.subscribe({ name: 's', from: [], leaseMs: 1000 }),
        'events.forget': () => space.events.forget('s'),
        'events.receive': () => member.receive({ max: 1, waitMs: 0 }),
        'dead.list': () => space.dead.list({ limit: 1 }),
        'dead.get': () => space.dead.get('x'),
        'dead.drop': () => space.dead.drop('x'),
        'dead.redrive': () => space.dead.redrive('x', toTask('q', 'x')),
        'blobs.put': () => space.blobs.put('b', 0, bytes('x')),
        'blobs.get': () => space.blobs.get('b', 0),
        'blobs.list': () => space.blobs.list({ limit: 1 }),
        'blobs.drop': () => space.blobs.drop('b'),
      }
      for (const [name, call] of Object.entries(calls)) {
        await rejects(
          () => within(stage.eventuallyMs, `${name} after close`, Promise.resolve(call())),
          'TASKS_CLOSED',
          `${name} after close`,
        )
      }
    }),
  },
  {
    name: 'closes one space and leaves the others',
    promise: 'closing',
    because: 'a program may use two namespaces over one connection',
    run: staged(async (stage) => {
      const transport = await stage.connect()
      const closed = await stage.open({ on: transport })
      const other = await stage.open({ on: transport, namespace: `${stage.namespace}-2` })
      const same = await stage.open({ on: transport })
      await closed.close()
      await rejects(() => closed.send([toTask('q', 'a')]), 'TASKS_CLOSED', 'a send on the closed space')
      for (const space of [other, same]) {
        await space.send([toTask('q', 'a')])
        await stage.collect(stage.consume(space), 1, { ack: true })
      }
    }),
  },
  {
    name: 'closes one connection and leaves the others',
    promise: 'closing',
    because: 'the other connection is another process',
    run: staged(async (stage) => {
      const [closed, other] = [await stage.open(), await stage.open()]
      const owner = stage.own(other, { leaseMs: stage.leaseMs })
      const session = await owner.session(0)
      const receiving = stage.receive(stage.consume(other), { waitMs: stage.eventuallyMs })
      receiving.catch(() => {})
      await stage.transportOf(closed).close()
      await stage.quiet()
      await session.commit(commitOf(1, { sends: [toTask('q', 'a')] }))
      assert.deepEqual(
        (await receiving).map(({ id }) => id),
        ['a'],
      )
      assert.ok(!session.lost.aborted)
    }),
  },
]
