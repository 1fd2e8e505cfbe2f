import { chmodSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock, Space } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import { expect, onTestFinished, test, vi } from 'vitest'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'

async function open(path: string, clock: Clock = systemClock): Promise<Space> {
  const transport = sqliteTransport({ path, clock })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'n' })
}

/** Once it is slow, whoever waits for its timers waits until the test is given up: what comes before has come without. */
function slowingClock() {
  let factor = 1
  const clock: Clock = { ...systemClock, after: (ms, fn, options) => systemClock.after(ms * factor, fn, options) }
  return { clock, slowDown: () => void (factor = 10_000) }
}

async function receives(from: Space, to: Space): Promise<void> {
  const consumer = to.consume({ queues: ['q'], leaseMs: 10_000 })
  const receiving = consumer.receive({ max: 1, waitMs: 5000, suspects: false })
  await sleep(30)
  await from.send([{ target: { to: 'task', queue: 'q' }, id: 'x', body: new Uint8Array() }])
  const leases = await receiving
  await consumer.settle(
    leases.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  await consumer.close()
  expect(leases.length).toBe(1)
}

test('another connection is woken by the file beside the database, and need not look by itself', async () => {
  const path = newPath()
  const { clock, slowDown } = slowingClock()
  slowDown()
  const [from, to] = [await open(path), await open(path, clock)]
  for (let i = 0; i < 3; i++) await receives(from, to)
  expect(existsSync(`${path}-wake`)).toBe(true)
})

test('waking goes on when somebody removes that file', async () => {
  const path = newPath()
  const { clock, slowDown } = slowingClock()
  const [from, to] = [await open(path), await open(path, clock)]
  const { ino } = statSync(`${path}-wake`)
  rmSync(`${path}-wake`)
  await vi.waitFor(() => expect(statSync(`${path}-wake`).ino).not.toBe(ino), 10_000)
  // Both have seen it by then; what is left of their timers fires.
  await sleep(500)
  slowDown()
  await sleep(500)
  for (let i = 0; i < 3; i++) await receives(from, to)
})

test('a lone process does not write it at every commit', async () => {
  const path = newPath()
  const space = await open(path)
  const { mtimeMs } = statSync(`${path}-wake`)
  await sleep(20)
  await receives(space, space)
  expect(statSync(`${path}-wake`).mtimeMs).toBe(mtimeMs)
})

test('whoever may write the database may write that file', async () => {
  const path = newPath()
  writeFileSync(path, '')
  chmodSync(path, 0o666)
  await open(path)
  expect((statSync(`${path}-wake`).mode & 0o777).toString(8)).toBe('666')
})
