// A primary that dies, and a replica that Sentinel puts in its place.
import { createClient, createTasks, sleep, startWorker } from '@tasks/core'
import { startSentinel } from '@tasks/dev-config/brokers'
import * as brokers from '@tasks/dev-config/brokers/in-tests'
import { Redis } from 'ioredis'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { redisTransport } from '../src/index'
import { newServer } from './support/server'

const PATIENCE_MS = 60_000

test(
  'pipelines go on when Sentinel has put a replica in the place of the primary',
  async (ctx) => {
    const primary = await newServer(ctx)
    const replica = await newServer(ctx, { settings: ['--replicaof', `127.0.0.1 ${primary.port}`] })
    const onPrimary = new Redis(primary.url).on('error', () => {})
    onTestFinished(() => onPrimary.disconnect())
    const replicas = async (): Promise<string> => onPrimary.info('replication')
    await expect.poll(replicas, { timeout: PATIENCE_MS }).toContain('state=online')
    const sentinel = await brokers.newServer(ctx, () => startSentinel({ name: 'main', port: primary.port }))
    const onSentinel = new Redis(sentinel.url)
    onTestFinished(() => onSentinel.disconnect())
    const known = async (): Promise<unknown[]> => (await onSentinel.call('sentinel', 'replicas', 'main')) as unknown[]
    await expect.poll(known, { timeout: PATIENCE_MS, interval: 200 }).toHaveLength(1)

    const mute = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void mute.close())
    await once(mute, 'listening')
    const ports = [(mute.address() as AddressInfo).port, sentinel.port]
    const transport = redisTransport({
      connection: { sentinels: ports.map((port) => ({ host: '127.0.0.1', port })), name: 'main' },
      patienceMs: PATIENCE_MS,
    })
    const tasks = createTasks({ namespace: 'sentinel' })
    const double = tasks.bind('double', (n: number) => n * 2)
    const worker = await startWorker({ tasks, transport, partitions: 2, leaseMs: 1_000 })
    const client = createClient({ namespace: 'sentinel', transport, answerMs: 500 })
    onTestFinished(async () => {
      await client.close()
      await worker.close()
      await transport.close()
    })
    const before = await client.submit(double.send(1).continueWith(sleep(3_000)).continueWith(double), { id: 'before' })
    await expect.poll(async () => (await before.status()).done, { timeout: PATIENCE_MS }).toBe(1)
    // Replication is asynchronous: what is lost with the primary is lost.
    expect(await onPrimary.wait(1, PATIENCE_MS)).toBe(1)
    primary.kill('SIGKILL')

    expect(await before.result({ timeoutMs: PATIENCE_MS })).toBe(4)
    expect(await (await client.submit(double.send(21))).result({ timeoutMs: PATIENCE_MS })).toBe(42)
    const [host, port] = (await onSentinel.call('sentinel', 'get-master-addr-by-name', 'main')) as string[]
    expect([host, Number(port)]).toEqual(['127.0.0.1', replica.port])
  },
  4 * PATIENCE_MS,
)
