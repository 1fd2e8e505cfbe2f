// Tasks whose results need not be stored: what follows runs with them.
import { expect, test, vi } from 'vitest'
import { taskContext } from '../../src/context'
import { inParallel } from '../../src/pipeline'
import { eventually, later, PATIENCE_MS, system } from '../support/system'

vi.setConfig({ testTimeout: 60_000 })

const waiting = { timeoutMs: PATIENCE_MS }
const LARGE = 300_000
const pure = { checkpoint: false }
const ways = ['local', 'queue'] as const

function world(way: (typeof ways)[number]) {
  const made = system()
  return { ...made, worker: () => made.worker({ localLane: way === 'local' }) }
}

test.each(ways)('a result that need not be stored is stored nowhere, %s', async (way) => {
  const { tasks, worker, client, blobs } = world(way)
  const ran: string[] = []
  let release!: () => void
  const gate = new Promise<void>((resolve) => (release = resolve))
  const name = (): void => void ran.push(`${taskContext().taskId} #${taskContext().attempt}`)
  const grow = tasks.bind('grow', (length: number) => (name(), 'x'.repeat(length)), pure)
  const twice = tasks.bind('twice', (text: string, end: string) => (name(), text + text + end), pure)
  const measure = tasks.bind('measure', async (text: string) => {
    name()
    await gate
    return text.length
  })
  await worker()
  const asking = client()
  const run = await asking.submit(
    grow
      .send(LARGE)
      .exceptionally(tasks.bind('mend', (_: unknown) => ''))
      .continueWith(twice, '!')
      .continueWith(measure)
      .continueWith(inParallel([measure.send('a'), grow.send(3).continueWith(twice, '?')])),
    { id: 'p' },
  )
  await eventually(() => expect(ran.length).toBe(3))
  expect(await blobs()).toEqual([])
  expect(await run.status()).toMatchObject({ done: 0 })
  release()
  expect(await run.result(waiting)).toEqual([1, 'xxxxxx?'])
  expect(await blobs()).toEqual([])
  expect(await run.status()).toMatchObject({ tasks: 6, done: 6, attempts: 6 })
  expect(ran.sort()).toEqual(['p/0', 'p/2', 'p/3', 'p/4.0/0', 'p/4.1/0', 'p/4.1/1'].map((id) => `${id} #1`))
})

test.each(ways)('it is stored if what follows has failed, and is not made again, %s', async (way) => {
  const { tasks, worker, client, blobs } = world(way)
  const ran: string[] = []
  const grow = tasks.bind('grow', () => (ran.push('grow'), 'x'.repeat(LARGE)), pure)
  const measure = tasks.bind(
    'measure',
    (text: string) => {
      ran.push('measure')
      if (taskContext().attempt === 1) throw new Error('not yet')
      return text.length
    },
    { retry: { maxRetries: 1, delayMs: 10 } },
  )
  await worker()
  const run = await client().submit(grow.send().continueWith(measure))
  expect(await run.result(waiting)).toBe(LARGE)
  expect(ran).toEqual(['grow', 'measure', 'measure'])
  expect(await run.status()).toMatchObject({ done: 2, attempts: 3 })
  expect((await blobs()).length).toBe(1)
})

test('it is stored if what follows cannot be run with it', async () => {
  const { tasks, worker, client } = system()
  const keys = tasks.bind('keys', () => (taskContext().state.set('a', 1), 'x'.repeat(LARGE)), pure)
  const pause = tasks.bind('pause', () => 'x'.repeat(LARGE), pure)
  const elsewhere = tasks.bind('elsewhere', (text: string) => [text.length, taskContext().state.get('a')], {
    queue: 'other',
  })
  const here = tasks.bind('here', (text: string) => [text.length, taskContext().state.get('a')])
  await worker()
  const submitter = client()
  expect(await (await submitter.submit(keys.send().continueWith(here))).result(waiting)).toEqual([LARGE, 1])
  expect(await (await submitter.submit(pause.send().continueWith(elsewhere))).result(waiting)).toEqual([
    LARGE,
    undefined,
  ])
  const paused = await submitter.submit(pause.send().pauseAfter().continueWith(here))
  await eventually(async () => expect((await paused.status()).status).toBe('PAUSED'))
  await paused.resume()
  expect(await paused.result(waiting)).toEqual([LARGE, undefined])
  // The last of a pipeline is its result.
  expect(await (await submitter.submit(pause.send())).result(waiting)).toHaveLength(LARGE)
})

test.each(ways)('what was passed on is lost with its process, and made again, %s', async (way) => {
  const made = system()
  const { tasks, client } = made
  const ran: string[] = []
  let hangs = true
  const grow = tasks.bind('grow', () => (ran.push('grow'), 'x'.repeat(LARGE)), pure)
  const measure = tasks.bind('measure', async (text: string) => {
    ran.push('measure')
    while (hangs) await later(10)
    return text.length
  })
  const options = { localLane: way === 'local', leaseMs: 300 }
  const first = await made.worker(options)
  const run = await client().submit(grow.send().continueWith(measure))
  await eventually(() => expect(ran).toEqual(['grow', 'measure']))
  first.transport.crash()
  hangs = false
  await made.worker(options)
  expect(await run.result(waiting)).toBe(LARGE)
  expect(ran.slice(0, 4)).toEqual(['grow', 'measure', 'grow', 'measure'])
})

test('a cancel stops it between two tasks, and a pause lets what runs together end', async () => {
  const { tasks, worker, client } = system()
  const ran: string[] = []
  let open = false
  const slow = tasks.bind(
    'slow',
    async () => {
      ran.push('slow')
      while (!open && !taskContext().signal.aborted) await later(5)
      return 1
    },
    pure,
  )
  const next = tasks.bind('next', (n: number) => (ran.push('next'), n + 1))
  await worker()
  const submitter = client()
  const cancelled = await submitter.submit(slow.send().continueWith(next))
  await eventually(() => expect(ran).toEqual(['slow']))
  await cancelled.cancel()
  await expect(cancelled.result(waiting)).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
  expect(ran).toEqual(['slow'])
  const paused = await submitter.submit(slow.send().continueWith(next).continueWith(next))
  await eventually(() => expect(ran.length).toBe(2))
  await paused.pause()
  open = true
  await eventually(async () => expect((await paused.status()).done).toBe(2))
  expect(ran).toEqual(['slow', 'slow', 'next'])
  await paused.resume()
  expect(await paused.result(waiting)).toBe(3)
})
