import { existsSync, rmSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Space } from '@tasks/core'
import { expect, onTestFinished, test } from 'vitest'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'

async function open(path: string): Promise<Space> {
  const transport = sqliteTransport({ path })
  onTestFinished(() => transport.close())
  return transport.open({ namespace: 'n' })
}

async function latency(from: Space, to: Space): Promise<number> {
  const consumer = to.consume({ queues: ['q'], leaseMs: 10_000 })
  const receiving = consumer.receive({ max: 1, waitMs: 5000, suspects: false })
  await sleep(30)
  const start = performance.now()
  await from.send([{ target: { to: 'task', queue: 'q' }, id: 'x', body: new Uint8Array() }])
  const leases = await receiving
  await consumer.settle(
    leases.map((lease) => ({ lease, op: 'ack' })),
    [],
  )
  await consumer.close()
  expect(leases.length).toBe(1)
  return performance.now() - start
}

async function median(from: Space, to: Space): Promise<number> {
  const all: number[] = []
  for (let i = 0; i < 9; i++) all.push(await latency(from, to))
  return all.sort((a, b) => a - b)[4]!
}

test('another connection is woken by the file beside the database', async () => {
  const path = newPath()
  const [from, to] = [await open(path), await open(path)]
  expect(await median(from, to)).toBeLessThan(100)
  expect(existsSync(`${path}-wake`)).toBe(true)
})

test('waking goes on when somebody removes that file', async () => {
  const path = newPath()
  const [from, to] = [await open(path), await open(path)]
  rmSync(`${path}-wake`)
  await sleep(300)
  expect(existsSync(`${path}-wake`)).toBe(true)
  expect(await median(from, to)).toBeLessThan(100)
})

test('a lone process does not write it at every commit', async () => {
  const path = newPath()
  const space = await open(path)
  const { mtimeMs } = statSync(`${path}-wake`)
  await sleep(20)
  await latency(space, space)
  expect(statSync(`${path}-wake`).mtimeMs).toBe(mtimeMs)
})
