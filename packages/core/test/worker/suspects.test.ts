import { expect, test } from 'vitest'
import { virtualClock } from '../../src/testing/virtual-clock'
import { NAMESPACE, system } from '../support/system'

test('what a dead worker had is run one by one, without a wait in between', async () => {
  const clock = virtualClock()
  const { tasks, worker, client, connect } = system({ clock })
  const seen: number[] = []
  let running = 0
  let most = 0
  const note = tasks.bind('note', async (value: number) => {
    most = Math.max(most, ++running)
    await new Promise<void>((resolve) => clock.after(5, resolve))
    running--
    seen.push(value)
  })
  const values = Array.from({ length: 20 }, (_, index) => index)
  await client().enqueueMany(note, values)
  const dead = connect()
  const consumer = (await dead.open({ namespace: NAMESPACE })).consume({ queues: ['default'], leaseMs: 100 })
  expect((await consumer.receive({ max: 100, waitMs: 0, suspects: false })).length).toBe(20)
  dead.crash()
  await clock.advance(100)
  await worker({ leaseMs: 60_000 })
  await clock.advance(1_000)
  expect(seen.sort((a, b) => a - b)).toEqual(values)
  expect(most).toBe(1)
})
