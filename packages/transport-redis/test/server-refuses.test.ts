// A server that refuses for a while: what is asked meanwhile waits, and is done once.
import type { TaskError } from '@tasks/core/adapter'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { onServer, openOn, received, toTask } from './support/network'
import { newServer } from './support/server'

test('that has too few replicas: a send waits until it has enough, or says that nothing was stored', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server.url)
  const client = onServer(server)
  await client.config('SET', 'min-replicas-to-write', '1')
  const sending = space.send([toTask('waits')])
  expect(await Promise.race([sending, new Promise((resolve) => setTimeout(resolve, 500, 'still waits'))])).toBe(
    'still waits',
  )
  await client.config('SET', 'min-replicas-to-write', '0')
  expect(await sending).toEqual([{ ok: true }])
  await client.config('SET', 'min-replicas-to-write', '1')
  const [outcome] = await space.send([toTask('gives up')])
  expect(outcome).toMatchObject({
    ok: false,
    certain: true,
    error: { code: 'TASKS_UNAVAILABLE', message: expect.stringContaining('NOREPLICAS') as string },
  })
  await client.config('SET', 'min-replicas-to-write', '0')
  expect(await received(space)).toEqual(['waits'])
})

test('that is busy with a script of somebody else: a send waits until that is over', async (ctx) => {
  const server = await newServer(ctx)
  const space = await openOn(server.url)
  const [client, other] = [onServer(server), onServer(server)]
  await client.config('SET', 'busy-reply-threshold', '10')
  const endless = other.eval('while true do end', 0).catch((error: Error) => error.message)
  await expect.poll(() => client.ping().catch((error: Error) => error.message), { timeout: 10_000 }).toMatch(/^BUSY/)
  const sending = space.send([toTask('a'), toTask('b')])
  await new Promise((resolve) => setTimeout(resolve, 300))
  await client.script('KILL')
  expect(await sending).toEqual([{ ok: true }, { ok: true }])
  expect(await endless).toMatch('killed by user')
  expect(await received(space)).toEqual(['a', 'b'])
})

test('that cannot save: nothing is stored, and the error says that it is the disk', async (ctx) => {
  const server = await newServer(ctx, { settings: ['--save', '3600 1', '--enable-protected-configs', 'yes'] })
  const space = await openOn(server.url)
  const client = onServer(server)
  // A folder that takes no file, from whomever.
  await client.config('SET', 'dir', '/proc')
  await client.bgsave()
  await expect.poll(() => client.info('persistence'), { timeout: 10_000 }).toMatch('rdb_last_bgsave_status:err')
  const [outcome] = await space.send([toTask('refused')])
  expect(outcome).toMatchObject({ ok: false, certain: true })
  const { error } = outcome as unknown as { readonly error: TaskError }
  expect(error.message).toMatch('the server cannot write to its disk: MISCONF')
  await client.config('SET', 'stop-writes-on-bgsave-error', 'no')
  expect(await space.send([toTask('taken')])).toEqual([{ ok: true }])
  expect(await received(space)).toEqual(['taken'])
})

test('that loads its data: who connects meanwhile waits until it has', async (ctx) => {
  // A millisecond for each key.
  const slowly = [
    '--key-load-delay',
    '1000',
    '--loading-process-events-interval-bytes',
    '1024',
    '--enable-debug-command',
    'yes',
  ]
  const server = await newServer(ctx, { settings: slowly })
  const before = await openOn(server.url)
  await before.send([toTask('kept')])
  const client = onServer(server)
  await client.debug('POPULATE', '500', 'ballast')
  await client.call('BGREWRITEAOF')
  await expect
    .poll(() => client.info('persistence'), { timeout: 10_000 })
    .toMatch(/aof_rewrite_in_progress:0[^]*aof_last_bgrewrite_status:ok/)
  server.kill('SIGKILL')
  const restarted = server.restart()
  const watching = new Redis(server.url, { enableReadyCheck: false }).on('error', () => {})
  onTestFinished(() => watching.disconnect())
  await expect.poll(() => watching.info('persistence'), { timeout: 10_000, interval: 5 }).toMatch('loading:1')
  const space = await openOn(server.url, { patienceMs: 10_000 })
  await restarted
  expect(await received(space)).toEqual(['kept'])
}, 60_000)
