// What is said of a server that syncs before it answers. Debian's cannot: this one is built.
import { createClient, createTasks, inParallel, startWorker } from '@tasks/core'
import { freePort } from '@tasks/dev-config/brokers'
import { expect, onTestFinished, test } from 'vitest'
import { natsTransport } from '../src/index'
import { newServer } from './support/server'

test('with sync_interval: always, and a monitoring port that says so, the streams promise fsync', async (ctx) => {
  const port = await freePort()
  const monitor = `http://127.0.0.1:${port}`
  const server = await newServer(ctx, {
    version: '2.12.1',
    jetstream: 'sync_interval: always',
    settings: `http: "127.0.0.1:${port}"`,
  })
  const transport = natsTransport({ url: `${server.url}?durability=fsync&monitor=${monitor}` })
  onTestFinished(() => transport.close())
  await expect(transport.open({ namespace: 'synced', provision: 'verify' })).rejects.toMatchObject({
    code: 'TASKS_NOT_FOUND',
  })
  expect(transport.capabilities.durability).toBe('fsync')
  const tasks = createTasks({ namespace: 'synced' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, partitions: 2 })
  expect(transport.capabilities.durability).toBe('fsync')
  const client = createClient({ namespace: 'synced', transport })
  const run = await client.submit(inParallel([double.send(1), double.send(2)]), { id: 'p' })
  expect(await run.result({ timeoutMs: 20_000 })).toEqual([2, 4])
  // What was answered is there after a death that nobody has prepared for.
  server.kill('SIGKILL')
  await server.restart()
  await expect.poll(async () => (await run.status()).status, { timeout: 30_000 }).toBe('COMPLETED')
  await client.close()
  await worker.close()

  const unwatched = natsTransport({ url: server.url, durability: 'fsync' })
  onTestFinished(() => unwatched.close())
  await expect(unwatched.open({ namespace: 'synced' })).rejects.toMatchObject({ code: 'TASKS_STORE_UNSAFE' })
}, 120_000)
