// What takes more than one commit is done in several, whoever says it: none of it ends a session.
import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { inParallel } from '../../src/pipeline'
import { eventually, PATIENCE_MS, system } from '../support/system'

const LARGE = 'x'.repeat(25_000)
const CHAINS = 60

/** A store that takes a few large values in a commit. */
const small = () => system({ transport: { maxCommitBytes: 600_000 } })

test('a pipeline in which many large values were held is resumed', async () => {
  const { tasks, worker, client } = small()
  let open!: () => void
  const gate = new Promise<void>((resolve) => (open = resolve))
  let started = 0
  const give = tasks.bind('give', async (index: number) => {
    started++
    await gate
    return `${index}${LARGE}`
  })
  const length = tasks.bind('length', (text: string) => text.length)
  await worker({ concurrency: CHAINS })
  const chains = Array.from({ length: CHAINS }, (_, index) => give.send(index).continueWith(length))
  const run = await client().submit(inParallel(chains))
  await eventually(() => expect(started).toBe(CHAINS))
  await run.pause()
  open()
  await eventually(async () => expect((await run.status()).done).toBe(CHAINS))
  await run.resume()
  expect(await run.result({ timeoutMs: PATIENCE_MS })).toHaveLength(CHAINS)
}, 90_000)

test('a pipeline in which many entries with large values failed is retried', async () => {
  const { tasks, worker, client } = small()
  let isBroken = true
  const give = tasks.bind('give', (index: number) => `${index}${LARGE}`)
  const length = tasks.bind('length', (text: string) => {
    if (isBroken) throw new Error('broken')
    return text.length
  })
  await worker()
  const chains = Array.from({ length: CHAINS }, (_, index) => give.send(index).continueWith(length))
  const submitter = client()
  const run = await submitter.submit(inParallel(chains))
  await expect(run.result({ timeoutMs: PATIENCE_MS })).rejects.toThrow(/60 of 60/)
  isBroken = false
  const again = await submitter.retry(run.id)
  expect(await again.result({ timeoutMs: PATIENCE_MS })).toHaveLength(CHAINS)
}, 90_000)

test('a group whose chains set more of the state than may be fails by name', async () => {
  const { tasks, worker, client } = small()
  const set = tasks.bind('set', (key: string) => taskContext().state.set(key, LARGE))
  await worker()
  const chains = Array.from({ length: CHAINS }, (_, index) => set.send(`key ${index}`))
  const run = await client().submit(inParallel(chains))
  await expect(run.result({ timeoutMs: PATIENCE_MS })).rejects.toMatchObject({ code: 'TASKS_VALUE_TOO_LARGE' })
}, 90_000)

test('what many tasks set of the state, reported at once, goes in as many messages as it needs', async () => {
  const { tasks, worker, client } = system({ transport: { maxMessageBytes: 65_536 } })
  const set = tasks.bind('set', (text: string) => taskContext().state.set('key', text))
  await worker({ localLane: false, concurrency: CHAINS })
  const runs = await Promise.all(Array.from({ length: CHAINS }, () => client().submit(set.send('x'.repeat(8_000)))))
  const results = await Promise.all(runs.map((run) => run.result({ timeoutMs: PATIENCE_MS })))
  expect(results).toHaveLength(CHAINS)
  for (const run of runs) expect(await run.status()).toMatchObject({ attempts: 1 })
}, 90_000)
