import assert from 'node:assert/strict'
import { TaskError } from '@tasks/core/adapter'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { toTask } from '../content'
import type { Unknown } from '../harness'
import { within } from '../patience'

const faults = ['lost', 'unanswered'] as const

export const outcomes: readonly ConformanceCase[] = [
  ...faults.map((fault: Unknown): ConformanceCase => ({
    name: `answers a send that is ${fault} truthfully`,
    promise: 'S10',
    because: 'a submit that was called ok and is not there is never found again',
    requires: ['faults.send'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      stage.harness.faults!.send!(stage.transportOf(here), fault)
      const [outcome] = await within(stage.eventuallyMs * 2, 'a send', here.send([toTask('q', 'a')]))
      const arrived = (await stage.surprises(stage.consume(there))).length > 0
      if (outcome!.ok) assert.ok(arrived, 'called ok, and not there')
      else if (outcome!.certain) assert.ok(!arrived, 'called certainly not stored, and there')
      const [second] = await here.send([toTask('q2', 'b')])
      assert.deepEqual(second, { ok: true }, 'one fault, and the connection is of no use any more')
      await stage.collect(stage.consume(there, 'q2'), 1)
    }),
  })),
  ...faults.map((fault: Unknown): ConformanceCase => ({
    name: `acknowledges nothing whose sends are not stored, when a settlement is ${fault}`,
    promise: 'S10',
    because: 'a task that is acknowledged and whose result is lost hangs its pipeline',
    requires: ['faults.settle'],
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const consumer = stage.consume(here, 'q', stage.leaseMs)
      await here.send([toTask('q', 'a')])
      const [lease] = await stage.receive(consumer)
      stage.harness.faults!.settle!(stage.transportOf(here), fault)
      const settle = consumer.settle([{ lease: lease!, op: 'ack' }], [toTask('results', 'result')])
      const resolved = await within(stage.eventuallyMs * 2, 'a settlement', settle).then(
        () => true,
        (error) => {
          assert.ok(TaskError.is(error), `not a typed error: ${String(error)}`)
          return false
        },
      )
      const results = await stage.surprises(stage.consume(there, 'results'))
      const again = await stage.surprises(stage.consume(there, 'q', stage.longMs), {
        forMs: stage.leaseMs + stage.settleMs,
      })
      if (resolved) assert.deepEqual(results, ['result'], 'settled, and its send was not made')
      else assert.ok(results.length > 0 || again.length > 0, 'the task is acknowledged, and its result is lost')
      // What was not known may be asked for again.
      await consumer.settle([{ lease: lease!, op: 'ack' }], [toTask('results', 'result')])
    }),
  })),
]
