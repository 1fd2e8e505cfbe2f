// The queries of HOW_IT_WORKS.md, on a store that has what they ask for.
import { readFileSync } from 'node:fs'
import { createClient, createTasks, inParallel, startWorker } from '@tasks/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { chooseDriver } from '../src/driver'
import { sqliteTransport } from '../src/index'
import { newPath } from './support/folder'

const page = readFileSync(new URL('../HOW_IT_WORKS.md', import.meta.url), 'utf8')
const [, block = ''] = /```sql\n(.*?)```/s.exec(page) ?? []
const [queues, partitions, held, rows, dead, ...others] = block
  .replaceAll(/^--.*$/gm, '')
  .split(';')
  .map((text) => text.trim())
  .filter((text) => text !== '')

test('the queries of the page find what they say', async () => {
  expect([dead, others]).toEqual([expect.stringContaining('FROM dead'), []])
  const path = newPath()
  const transport = `sqlite:${path}`
  const tasks = createTasks({ namespace: 'risk' })
  const load = tasks.declare<(stock: string) => number>('load')
  tasks.bind('other', () => 0, { queue: 'other' })
  const worker = await startWorker({ tasks, transport, roles: ['owner'] })
  onTestFinished(() => worker.close())
  const client = createClient({ namespace: 'risk', transport })
  onTestFinished(() => client.close())
  const id = 'risk-2026-11-21'
  await client.submit(inParallel([load.send('MSFT'), load.send('IBM')]), { id })
  await client.submit(load.send('GOOG'), { id: `${id}0` })

  const file = chooseDriver().open(path)
  onTestFinished(() => file.close())
  const ask = (query: string | undefined) => file.prepare(query!).all() as Record<string, unknown>[]
  await vi.waitFor(() => expect(ask(queues)).toMatchObject([{ ready: 3, suspect: 0, all_messages: 3 }]), 10_000)
  expect(ask(partitions)).toContainEqual(expect.objectContaining({ name: 'risk', pid: process.pid, inbox: 0 }))
  expect(ask(held)).toEqual([])
  expect(ask(dead)).toEqual([])
  const keys = ask(rows).map(({ key }) => key as string)
  expect(keys).toContain(`M/${id}`)
  expect(keys.some((key) => /^Prisk-2026-11-21\/\d+:g/.test(key))).toBe(true)
  expect(keys.filter((key) => key.includes(`${id}0`))).toEqual([])

  const connection = sqliteTransport({ path })
  onTestFinished(() => connection.close())
  const space = await connection.open({ namespace: 'risk' })
  const consumer = space.consume({ queues: ['default'], leaseMs: 60_000 })
  const [lease] = await consumer.receive({ max: 1, waitMs: 5_000, suspects: false })
  const [lock, ...locks] = ask(held)
  expect([lock, locks]).toEqual([expect.objectContaining({ pid: process.pid }), []])
  expect(lock!['ms_left']).toBeGreaterThan(0)
  expect(ask(queues)).toMatchObject([{ ready: 2, all_messages: 3 }])
  const letter = { reason: 'failed', message: 'it is broken', source: 'default' } as const
  await consumer.settle([{ lease: lease!, op: 'dead', letter }], [])
  expect(ask(held)).toEqual([])
  expect(ask(dead)).toMatchObject([{ "info ->> 'reason'": 'failed', "info ->> 'message'": 'it is broken' }])
})
