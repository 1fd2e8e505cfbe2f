import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import { PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }
const always = { retry: { maxRetries: 5, delayMs: 1 } }

class Price {
  readonly cents = 5
}

const cyclic: { list: unknown[] } = { list: [] }
cyclic.list.push(cyclic)

const unencodable: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['a function', () => ({ a: [() => 1] }), /\$\.a\[0\].*function/],
  ['a symbol', () => Symbol('s'), /symbol/],
  ['a cyclic value', () => cyclic, /\$\.list\[0\]/],
  ['an instance of a class', () => [new Price()], /\$\[0\].*Price/],
  ['a promise', () => ({ later: Promise.resolve(1) }), /\$\.later.*Promise/],
]

test.each(unencodable)(
  'a result that cannot be encoded fails its task, once, naming the path: %s',
  async (_, make, message) => {
    const { tasks, worker, client } = system()
    let starts = 0
    const bad = tasks.bind(
      'bad',
      () => {
        starts++
        return make()
      },
      always,
    )
    const next = tasks.bind('next', (value: unknown) => value)
    for (const localLane of [true, false]) await worker({ localLane })
    const submitter = client()
    for (const pipeline of [bad.send(), bad.send().continueWith(next), inParallel([bad.send(), next.send(1)])]) {
      const run = await submitter.submit(pipeline)
      const error: unknown = await run.result(waiting).catch((thrown: unknown) => thrown)
      const [cause = error] = (error as { errors?: unknown[] }).errors ?? []
      expect(cause).toMatchObject({
        code: 'TASKS_UNENCODABLE',
        message: expect.stringMatching(message) as string,
        task: { name: 'bad', attempt: 1 },
      })
      expect((await run.status()).status).toBe('FAILED')
    }
    expect(starts).toBe(3)
    // A lone task is a dead letter then.
    const alone = await submitter.enqueue(bad.send(), { reply: true })
    await expect(alone.result(waiting)).rejects.toMatchObject({ code: 'TASKS_UNENCODABLE' })
    expect(await submitter.deadLetters.list()).toMatchObject([
      { reason: 'failed', error: { code: 'TASKS_UNENCODABLE' } },
    ])
    expect(starts).toBe(4)
  },
)

const TOO_LARGE = (64 << 20) + 1

test('a result over the limit fails its task, once, and nothing of it is stored', async () => {
  const { tasks, worker, client, blobs } = system()
  let starts = 0
  const grow = tasks.bind(
    'grow',
    (length: number) => {
      starts++
      return Buffer.alloc(length, 'x').toString('latin1')
    },
    always,
  )
  // Making and refusing so much takes its time, and a lease that runs out meanwhile is a start more.
  await worker({ leaseMs: 60_000 })
  const submitter = client()
  const run = await submitter.submit(grow, TOO_LARGE)
  const tooLarge = { code: 'TASKS_VALUE_TOO_LARGE', task: { name: 'grow', attempt: 1 } }
  await expect(run.result(waiting)).rejects.toMatchObject(tooLarge)
  const alone = await submitter.enqueue(grow, TOO_LARGE, { reply: true })
  await expect(alone.result(waiting)).rejects.toMatchObject(tooLarge)
  expect(starts).toBe(2)
  expect(await blobs()).toEqual([])
}, 60_000)

test('an argument over the limit is refused before anything is sent', async () => {
  const { tasks, worker, client, blobs, rows } = system()
  const measure = tasks.bind('measure', (text: string) => text.length)
  await worker()
  const submitter = client()
  const text = Buffer.alloc(TOO_LARGE, 'x').toString('latin1')
  await expect(submitter.submit(measure, text, { id: 'large' })).rejects.toMatchObject({
    code: 'TASKS_VALUE_TOO_LARGE',
  })
  await expect(submitter.enqueue(measure, text)).rejects.toMatchObject({ code: 'TASKS_VALUE_TOO_LARGE' })
  expect(await submitter.status('large')).toBeUndefined()
  expect([...(await blobs()), ...(await rows('M/'))]).toEqual([])
}, 60_000)
