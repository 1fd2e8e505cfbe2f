import assert from 'node:assert/strict'
import type { TaskConsumer } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, commitOf, oddBodies, sameBytes, toTask } from '../content'

export const tasks: readonly ConformanceCase[] = [
  {
    name: 'hands each task to one of the consumers that compete, and misses none',
    promise: 'S7',
    because: 'workers are added to share the load',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const consumers = [stage.consume(here), stage.consume(here), stage.consume(there)]
      for (let i = 0; i < 10; i++)
        await here.send(Array.from({ length: 100 }, (_, k) => toTask('q', `t${i * 100 + k}`)))
      const ids: string[] = []
      const unique = new Set<string>()
      const until = performance.now() + stage.eventuallyMs * 2
      const work = async (consumer: TaskConsumer): Promise<void> => {
        while (unique.size < 1000 && performance.now() < until) {
          const batch = await stage.receive(consumer, { max: 20, waitMs: stage.settleMs })
          for (const { id } of batch) unique.add(id)
          ids.push(...batch.map(({ id }) => id))
          await consumer.settle(
            batch.map((lease) => ({ lease, op: 'ack' })),
            [],
          )
          // A turn for the others: sharing is not a race.
          await stage.pause(0)
        }
      }
      await Promise.all(consumers.map(work))
      assert.equal(unique.size, 1000, 'tasks are missing')
      ids.push(...(await stage.surprises(consumers[0]!)))
      assert.equal(ids.length, 1000, 'tasks came twice, though no lease ran out')
    }),
  },
  {
    name: 'keeps tasks until somebody consumes their queue',
    promise: 'S7',
    because: 'the worker for a queue is deployed after its client',
    run: staged(async (stage) => {
      const client = await stage.open()
      await client.send(['a', 'b', 'c'].map((id) => toTask('q', id)))
      await stage.transportOf(client).close()
      await stage.collect(stage.consume(await stage.open()), 3)
    }),
  },
  {
    name: 'hands out ids, queues and bodies as they were sent',
    promise: 'S7',
    because: 'the worker decodes them',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send(oddBodies.map((body, i) => toTask('a queue', `id ${i} é/*`, body)))
      const leases = await stage.collect(stage.consume(space, 'a queue'), oddBodies.length)
      oddBodies.forEach((body, i) => {
        const lease = leases.find(({ id }) => id === `id ${i} é/*`)
        sameBytes(lease?.body, body, `task ${i}`)
        assert.equal(lease!.queue, 'a queue')
        assert.equal(lease!.deliveries, 1, 'the first delivery is not counted as the first')
      })
    }),
  },
  {
    name: 'receives from several queues at once, and from no other',
    promise: 'S7',
    because: 'a worker serves the queues of its tasks, with one wait',
    run: staged(async (stage) => {
      const space = await stage.open()
      const some = stage.consume(space, ['a', 'b'])
      await space.send([toTask('a', 'a1'), toTask('b', 'b1'), toTask('c', 'c1'), toTask('a', 'a2')])
      const leases = await stage.collect(some, 3)
      assert.deepEqual(leases.map(({ id, queue }) => `${queue} ${id}`).sort(), ['a a1', 'a a2', 'b b1'])
      assert.deepEqual(await stage.surprises(some), [], 'a task of another queue came')
      await stage.collect(stage.consume(space, 'c'), 1)
    }),
  },
  {
    name: 'receives no more than was asked for',
    promise: 'S7',
    because: 'what is received and not run is kept from workers that are idle',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space, ['a', 'b'])
      await space.send(Array.from({ length: 30 }, (_, i) => toTask(i % 2 ? 'a' : 'b', `t${i}`)))
      const seen = new Set<string>()
      await stage.until(
        '30 tasks have come',
        () => seen.size === 30,
        async () => {
          const batch = await stage.receive(consumer, { max: 4, waitMs: 50 })
          assert.ok(batch.length <= 4, `4 were asked for, ${batch.length} came`)
          for (const { id } of batch) seen.add(id)
        },
      )
    }),
  },
  {
    name: 'hands out higher priorities first, and takes any number for one',
    promise: 'S7',
    because: 'an urgent task overtakes a backlog',
    requires: ['priorities'],
    run: staged(async (stage) => {
      const space = await stage.open()
      const sends = Array.from({ length: 12 }, (_, i) => [
        toTask('q', `low ${i}`),
        toTask('q', `high ${i}`, bytes('x'), 1),
      ]).flat()
      await space.send(sends)
      const consumer = stage.consume(space)
      const first = await stage.collect(consumer, 12, { max: 4 })
      assert.deepEqual(
        first.filter(({ id }) => id.startsWith('low')).map(({ id }) => id),
        [],
        'low ones came before high ones',
      )
      await stage.collect(consumer, 12)
      await space.send([toTask('q', 'p1000', bytes('x'), 1000), toTask('q', 'p-1', bytes('x'), -1)])
      await stage.collect(consumer, 2)
    }),
  },
  {
    name: 'wakes a receive that waits',
    promise: 'S7',
    because: 'an idle worker must start at once, without asking all the time',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const consumer = stage.consume(here, ['a', 'b'])
      const session = await stage.own(there).session(0)
      const ways = [
        () => here.send([toTask('a', 'wake')]),
        () => there.send([toTask('b', 'wake')]),
        () => session.commit(commitOf(1, { sends: [toTask('a', 'wake')] })),
      ]
      for (const wake of ways) {
        const started = performance.now()
        const receiving = stage.receive(consumer, { waitMs: stage.eventuallyMs * 2 })
        await stage.pause(20)
        await wake()
        assert.deepEqual(
          (await receiving).map(({ id }) => id),
          ['wake'],
        )
        assert.ok(performance.now() - started < stage.eventuallyMs, 'the receive waited on although there was a task')
      }
    }),
  },
  {
    name: 'hands out nothing that somebody holds',
    promise: 'S7',
    because: 'a slow task would run twice at once',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      await here.send([toTask('q', 'a'), toTask('q', 'b')])
      await stage.collect(stage.consume(here), 2)
      assert.deepEqual(await stage.surprises(stage.consume(here)), [], 'to another consumer of the connection')
      assert.deepEqual(await stage.surprises(stage.consume(there)), [], 'to a consumer of another connection')
    }),
  },
  {
    name: 'hands out a task again as a suspect when its lease ran out',
    promise: 'S7',
    because: 'its worker died, or the task killed it',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      await here.send([toTask('q', 'a', bytes('body'))])
      await stage.collect(stage.consume(here, 'q', stage.leaseMs), 1)
      const consumer = stage.consume(there, 'q', stage.leaseMs)
      const started = performance.now()
      // The wait covers the lease: nobody has to ask again.
      const [second] = await stage.receive(consumer, { waitMs: stage.leaseMs + stage.eventuallyMs, suspects: true })
      assert.equal(second?.id, 'a')
      assert.ok(performance.now() - started >= stage.leaseMs / 2, 'it came before its lease ran out')
      sameBytes(second!.body, bytes('body'), 'the body of the second delivery')
      assert.ok(second!.deliveries > 1, `a suspect has deliveries ${second!.deliveries}`)
      assert.ok(second!.deliveries <= 2, `the second delivery is counted as ${second!.deliveries}`)
      const [third] = await stage.receive(consumer, { waitMs: stage.leaseMs + stage.eventuallyMs, suspects: true })
      assert.ok(
        third!.deliveries > 1 && third!.deliveries <= 3,
        `the third delivery is counted as ${third!.deliveries}`,
      )
      await consumer.settle([{ lease: third!, op: 'ack' }], [])
    }),
  },
  {
    name: 'hands out at most one suspect at a time',
    promise: 'S7',
    because: 'a task that kills its process must not take its neighbours with it, again and again',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send(Array.from({ length: 6 }, (_, i) => toTask('q', `t${i}`)))
      await stage.collect(stage.consume(space, 'q', stage.leaseMs), 6)
      await stage.pause(stage.leaseMs + stage.settleMs)
      await space.send([toTask('q', 'fresh')])
      const consumer = stage.consume(space)
      const seen = new Set<string>()
      await stage.until(
        '7 tasks have come',
        () => seen.size === 7,
        async () => {
          const batch = await stage.receive(consumer, { waitMs: 50, suspects: true })
          const suspects = batch.filter(({ deliveries }) => deliveries > 1)
          assert.ok(suspects.length <= 1, `${suspects.length} suspects in one batch`)
          for (const { id } of batch) seen.add(id)
        },
      )
    }),
  },
  {
    name: 'hands out no suspect to those who want none',
    promise: 'S7',
    because: 'a worker that is busy with others’ tasks must not risk them',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send([toTask('q', 'suspect')])
      await stage.collect(stage.consume(space, 'q', stage.leaseMs), 1)
      const careful = stage.consume(space)
      assert.deepEqual(await stage.surprises(careful, { suspects: false, forMs: stage.leaseMs + stage.settleMs }), [])
      await space.send([toTask('q', 'fresh')])
      const fresh = await stage.collect(careful, 1)
      assert.deepEqual(
        fresh.map(({ id }) => id),
        ['fresh'],
      )
      const all = await stage.collect(careful, 1, { suspects: true })
      assert.deepEqual(
        all.map(({ id }) => id),
        ['suspect'],
      )
    }),
  },
  {
    name: 'keeps a lease that is extended',
    promise: 'S7',
    because: 'a two-hour task is held by a worker that says every few seconds that it lives',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send([toTask('q', 'long'), toTask('q', 'left')])
      const consumer = stage.consume(space, 'q', stage.leaseMs)
      const leases = await stage.collect(consumer, 2)
      const long = leases.find(({ id }) => id === 'long')!
      const other = stage.consume(space)
      const seen: string[] = []
      for (let i = 0; i < 8; i++) {
        await consumer.extend([long])
        seen.push(...(await stage.surprises(other, { forMs: stage.leaseMs / 3 })))
      }
      assert.deepEqual(seen, ['left'], 'the one that was not extended should come, the other not')
      await consumer.settle([{ lease: long, op: 'ack' }], [])
      assert.deepEqual(
        await stage.surprises(other, { forMs: stage.leaseMs + stage.settleMs }),
        [],
        'acknowledged, and it came again',
      )
    }),
  },
  {
    name: 'never hands out again what was acknowledged',
    promise: 'S7',
    because: 'every task would run once per lease, for ever',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space, 'q', stage.leaseMs)
      await space.send(Array.from({ length: 20 }, (_, i) => toTask('q', `t${i}`)))
      await stage.collect(consumer, 20, { ack: true })
      assert.deepEqual(await stage.surprises(consumer, { forMs: stage.leaseMs + stage.settleMs }), [])
      assert.deepEqual(await stage.surprises(stage.consume(await stage.open())), [])
    }),
  },
  {
    name: 'hands out at once, and uncounted, what was returned',
    promise: 'S7',
    because: 'a deploy gives back what it has not started; that is not a failure of the task',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      await here.send([toTask('q', 'a', bytes('body'))])
      const [first, second] = [stage.consume(here), stage.consume(there)]
      for (const consumer of [first, second, first]) {
        const [lease] = await stage.receive(consumer, { suspects: false })
        assert.equal(lease?.id, 'a', 'what was returned did not come again')
        assert.equal(lease!.deliveries, 1, 'a returned delivery was counted')
        sameBytes(lease!.body, bytes('body'), 'the returned body')
        await consumer.settle([{ lease: lease!, op: 'return', delayMs: 0 }], [])
      }
    }),
  },
  {
    name: 'hands out again what was returned for later',
    promise: 'S7',
    because: 'a worker of the last version gives back the tasks that it does not know yet',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space)
      await space.send([toTask('q', 'a'), toTask('q', 'b')])
      const leases = await stage.collect(consumer, 2)
      await consumer.settle(
        leases.map((lease) => ({ lease, op: 'return', delayMs: lease.id === 'a' ? 60 : 30 })),
        [],
      )
      const again = await stage.collect(consumer, 2)
      assert.ok(
        again.every(({ deliveries }) => deliveries === 1),
        'a returned delivery was counted',
      )
    }),
  },
  {
    name: 'ignores the settlement of a stale lease, and makes its sends',
    promise: 'S7',
    because: 'a worker that was paused finishes what another has taken over; its result may be the first',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      await here.send([toTask('q', 'a'), toTask('q', 'b')])
      const slow = stage.consume(here, 'q', stage.leaseMs)
      const stale = await stage.collect(slow, 2)
      await stage.pause(stage.leaseMs)
      const quick = stage.consume(there, 'q', stage.leaseMs * 2)
      await stage.collect(quick, 2, { suspects: true })
      await slow.settle(
        stale.map((lease) => ({ lease, op: 'ack' })),
        [toTask('results', 'late result')],
      )
      await slow.extend(stale)
      await stage.collect(stage.consume(here, 'results'), 1)
      await stage.pause(stage.leaseMs * 2)
      const last = stage.consume(there)
      const again = await stage.collect(last, 2, { suspects: true })
      await slow.settle(
        stale.map((lease) => ({ lease, op: 'return', delayMs: 0 })),
        [],
      )
      assert.deepEqual(await stage.surprises(stage.consume(there)), [], 'a stale return took the task from its holder')
      await last.settle(
        again.map((lease) => ({ lease, op: 'ack' })),
        [],
      )
    }),
  },
  {
    name: 'takes a settlement twice',
    promise: 'S7',
    because: 'a worker that got no answer settles again with the same arguments',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space)
      await space.send(['acked', 'returned', 'dead'].map((id) => toTask('q', id)))
      const leases = await stage.collect(consumer, 3)
      const lease = (id: string) => leases.find((one) => one.id === id)!
      const settlements = [
        { lease: lease('acked'), op: 'ack' },
        { lease: lease('returned'), op: 'return', delayMs: 0 },
        { lease: lease('dead'), op: 'dead', letter: { reason: 'failed', message: 'm', source: 'q' } },
      ] as const
      const sends = [toTask('results', 'result')]
      await consumer.settle(settlements, sends)
      await consumer.settle(settlements, sends)
      const again = await stage.collect(consumer, 1)
      assert.deepEqual(
        again.map(({ id }) => id),
        ['returned'],
      )
      await consumer.settle(settlements, sends)
      assert.deepEqual(await stage.surprises(consumer), [], 'a repeated settlement changed what somebody holds')
      assert.equal((await space.dead.list({ limit: 10 })).length, 1, 'one task, two dead letters')
      await stage.collect(stage.consume(space, 'results'), 1)
    }),
  },
  {
    name: 'makes the sends of a settlement',
    promise: 'S7',
    because: 'a result travels with the acknowledgement of its task',
    run: staged(async (stage) => {
      const space = await stage.open()
      const owner = stage.own(space)
      const consumer = stage.consume(space)
      await space.send([toTask('q', 'a')])
      const [lease] = await stage.receive(consumer)
      await consumer.settle(
        [{ lease: lease!, op: 'ack' }],
        [
          { target: { to: 'inbox', partition: 1 }, id: 'result', body: bytes('r') },
          {
            target: { to: 'dead', letter: { reason: 'failed', message: 'm', source: 'q' } },
            id: 'd',
            body: bytes('d'),
          },
        ],
      )
      assert.equal(
        (await space.dead.list({ limit: 10 })).length,
        1,
        'the dead letter is not there when the settlement has resolved',
      )
      await stage.poll(await owner.session(1), 1)
      await consumer.settle([], [toTask('q', 'alone')])
      await stage.collect(consumer, 1)
    }),
  },
  {
    name: 'moves a task to the dead letters',
    promise: 'S7',
    because: 'what cannot be done is kept for people, and not tried for ever',
    run: staged(async (stage) => {
      const space = await stage.open()
      const consumer = stage.consume(space, 'q', stage.leaseMs)
      await space.send([toTask('q', 'poison', oddBodies[4]!)])
      const [lease] = await stage.receive(consumer)
      const letter = { reason: 'undecodable', message: 'not a value', source: 'q' }
      await consumer.settle([{ lease: lease!, op: 'dead', letter }], [])
      const [dead, ...others] = await space.dead.list({ limit: 10 })
      assert.equal(others.length, 0)
      assert.deepEqual(dead?.info, letter)
      sameBytes(dead!.body, oddBodies[4]!, 'the letter')
      assert.deepEqual(
        await stage.surprises(consumer, { forMs: stage.leaseMs + stage.settleMs }),
        [],
        'it was handed out again',
      )
    }),
  },
  {
    name: 'brings back what a closed consumer held, when the lease runs out',
    promise: 'S7',
    because: 'closing is no outcome',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send(['a', 'b', 'c'].map((id) => toTask('q', id)))
      const consumer = stage.consume(space, 'q', stage.leaseMs)
      const leases = await stage.collect(consumer, 3)
      await consumer.close()
      const settled = leases.filter(({ id }) => id === 'a')
      await consumer.settle(
        settled.map((lease) => ({ lease, op: 'ack' })),
        [],
      )
      await stage.pause(stage.leaseMs)
      const again = await stage.collect(stage.consume(space), 2, { suspects: true })
      assert.deepEqual(again.map(({ id }) => id).sort(), ['b', 'c'])
    }),
  },
  {
    name: 'brings back what a dead process held, when the lease runs out',
    promise: 'S7',
    because: 'processes die',
    requires: ['crash'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      await here.send(Array.from({ length: 10 }, (_, i) => toTask('q', `t${i}`)))
      const doomed = stage.consume(here, 'q', stage.leaseMs)
      const held = await stage.collect(doomed, 4, { max: 4 })
      await doomed.settle([{ lease: held[0]!, op: 'ack' }], [])
      await stage.harness.crash!(stage.transportOf(here))
      const consumer = stage.consume(there)
      await stage.pause(stage.leaseMs)
      const came = await stage.collect(consumer, 9, { suspects: true, ack: true })
      assert.ok(!came.some(({ id }) => id === held[0]!.id), 'what was acknowledged before the crash came again')
    }),
  },
  {
    name: 'tells the age of the oldest task that nobody holds',
    promise: 'S7',
    because: 'what waits in a queue is not sent again; what is in no queue is',
    run: staged(async (stage) => {
      const space = await stage.open()
      assert.equal(await space.backlog('q'), undefined, 'an empty queue has a backlog')
      await space.send([toTask('q', 'old')])
      await stage.pause(60)
      await space.send([toTask('q', 'new')])
      await stage.eventually(async () => {
        const age = await space.backlog('q')
        assert.ok(age !== undefined && age >= 50, `the oldest has waited for 60 ms, not ${age}`)
      })
      assert.equal(await space.backlog('another'), undefined)
      const consumer = stage.consume(space)
      const leases = await stage.collect(consumer, 2)
      await stage.eventually(async () => assert.equal(await space.backlog('q'), undefined, 'what is held counts'))
      await consumer.settle(
        leases.map((lease) => (lease.id === 'old' ? { lease, op: 'return', delayMs: 0 } : { lease, op: 'ack' })),
        [],
      )
      await stage.eventually(async () =>
        assert.ok((await space.backlog('q')) !== undefined, 'what was returned does not count'),
      )
    }),
  },
]
