import { expect, test } from 'vitest'
import { virtualClock } from '../src/testing/virtual-clock'
import { eventually, PATIENCE_MS, system } from './support/system'

const DAY_MS = 24 * 3_600_000
const LEASE_MS = 100 * DAY_MS

test.each([
  ['a day', {}, DAY_MS],
  ['as long as was asked for', { retentionMs: 90 * DAY_MS }, 90 * DAY_MS],
])(
  'a result, large or small, is kept for %s; then all of it is gone and the id is free',
  async (_, options, retentionMs) => {
    const clock = virtualClock()
    const { tasks, worker, client, rows, blobs } = system({ clock, transport: { maxMessageBytes: 65_536 } })
    const grow = tasks.bind('grow', (length: number) => 'x'.repeat(length))
    await worker({ leaseMs: LEASE_MS })
    const submitter = client({ answerMs: LEASE_MS })
    const submit = async (id: string, length: number): Promise<number> => {
      const result = (await submitter.submit(grow, length, { id, ...options })).result()
      await clock.advance(10)
      return (await result).length
    }
    expect([await submit('small', 1), await submit('large', 200_000)]).toEqual([1, 200_000])
    await clock.advance(retentionMs - 1_000)
    for (const [id, length] of [
      ['small', 1],
      ['large', 200_000],
    ] as const)
      expect((await submitter.attach<string>(id).result()).length).toBe(length)
    await expect(submitter.submit(grow, 2, { id: 'small', onDuplicate: 'reject' })).rejects.toMatchObject({
      code: 'TASKS_ID_EXISTS',
    })
    await clock.advance(2_000)
    expect([await submitter.status('small'), await submitter.status('large')]).toEqual([undefined, undefined])
    expect([...(await rows('M/')), ...(await rows('P')), ...(await blobs())]).toEqual([])
    // Another definition under the same id is no conflict any more.
    expect(await submit('small', 2)).toBe(2)
  },
)

test('a wait that is aborted or too long ends, and nothing else does', async () => {
  const { tasks, worker, client } = system()
  let release = (): void => undefined
  const slow = tasks.bind('slow', () => new Promise<string>((resolve) => (release = () => resolve('done'))))
  const first = await worker()
  const submitter = client()
  const run = await submitter.submit(slow.send(), { id: 'slow' })
  await eventually(() => expect(first.running).toBe(1))
  const reason = new Error('no time')
  await expect(run.result({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const controller = new AbortController()
  const waiting = run.result({ signal: controller.signal })
  controller.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  await expect(run.result({ timeoutMs: 20 })).rejects.toMatchObject({
    code: 'TASKS_RESULT_TIMEOUT',
    message: expect.stringMatching(/RUNNING with 0 of 1 tasks done, and goes on while workers are up/) as string,
  })
  release()
  expect(await run.result({ timeoutMs: PATIENCE_MS })).toBe('done')
})

test('with all workers down a wait says so, and the pipeline goes on when one is up', async () => {
  const { tasks, worker, client } = system()
  const steps: string[] = []
  const first = tasks.bind('first', async () => {
    steps.push('first')
    return 1
  })
  const second = tasks.bind(
    'second',
    (value: number) => {
      steps.push('second')
      return value + 1
    },
    { queue: 'other' },
  )
  const run = await client().submit(first.send().continueWith(second))
  await expect(run.result({ timeoutMs: 30 })).rejects.toMatchObject({
    code: 'TASKS_RESULT_TIMEOUT',
    message: expect.stringContaining(
      'is a worker of this namespace up? It is stored and goes on when one is',
    ) as string,
  })
  const half = await worker({ queues: ['default'] })
  await eventually(async () => expect((await run.status()).done).toBe(1))
  await half.close()
  await expect(run.result({ timeoutMs: 30 })).rejects.toMatchObject({ code: 'TASKS_RESULT_TIMEOUT' })
  await worker()
  expect(await run.result({ timeoutMs: PATIENCE_MS })).toBe(2)
  expect(steps).toEqual(['first', 'second'])
})

test('who was given the run of another submit hears of the run that retries that one, too', async () => {
  const { tasks, worker, client, connect } = system()
  let lost = false
  let release: (result: string | Error) => void = () => undefined
  const open = tasks.bind('open', async () => {
    const result = await new Promise<string | Error>((resolve) => (release = resolve))
    if (result instanceof Error) throw result
    return result
  })
  const first = await worker({}, connect({ faults: { reply: () => (lost ? 'lost' : undefined) } }))
  const run = await client().submit(open.send(), { id: 'p' })
  await eventually(() => expect(first.running).toBe(1))
  const second = await client({ answerMs: 100 }).submit(open.send(), { id: 'p' })
  const result = second.result({ timeoutMs: PATIENCE_MS })
  await eventually(async () => expect((await second.status()).run).toBe((await run.status()).run))
  lost = true
  release(new Error('down'))
  await eventually(async () => expect(await run.status()).toMatchObject({ status: 'FAILED' }))
  lost = false
  const again = await run.retry()
  await eventually(() => expect(first.running).toBe(1))
  release('up')
  expect(await again.result({ timeoutMs: PATIENCE_MS })).toBe('up')
  expect(await result).toBe('up')
})
