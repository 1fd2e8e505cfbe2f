import { systemClock } from '@tasks/core/adapter'
import { expect, onTestFinished, test } from 'vitest'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'

test('a place in time is before all that was stored since, though the clock was set back', async () => {
  let now = 1_000_000
  const transport = sqliteTransport({ path: newPath(), clock: { ...systemClock, now: () => now } })
  onTestFinished(() => transport.close())
  const space = await transport.open({ namespace: 'n', partitions: 1 })
  const store = (id: string) => space.send([{ target: { to: 'events', partition: 0 }, id, body: new Uint8Array(1) }])
  for (let i = 0; i < 6; i++, now += 1_000) await store(`before ${i}`)
  now -= 3_600_000
  for (let i = 0; i < 60; i++, now += 1_000) await store(`after ${i}`)
  const [position] = await space.events.positions(1_003_000)
  const [page] = await space.events.read({ after: new Map([[0, position]]), max: 100, waitMs: 0 })
  expect(page!.events[0]!.id).toBe('before 3')
  expect(page!.events.length).toBe(63)
})
