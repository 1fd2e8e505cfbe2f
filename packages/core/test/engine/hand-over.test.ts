import { expect, test } from 'vitest'
import { eventually, PATIENCE_MS, system } from '../support/system'

test('what a process runs goes on there when its partitions go to another, however much it is', async () => {
  // One commit does not hold the windows of all that runs.
  const limits = { maxCommitBytes: 16_000 }
  const { tasks, worker, client, connect } = system({ transport: limits })
  const starts = new Map<number, number>()
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const wait = tasks.bind('wait', async (value: number) => {
    starts.set(value, (starts.get(value) ?? 0) + 1)
    await released
    return value
  })
  const first = await worker({ concurrency: 1_000, leaseMs: 60_000 })
  const submitter = client()
  const values = Array.from({ length: 400 }, (_, index) => index)
  const runs = await Promise.all(
    values.map((value) => submitter.submit(wait, value, { id: `${value}${'x'.repeat(200)}` })),
  )
  await eventually(() => expect(starts.size).toBe(values.length))
  let owned = 0
  const second = connect({ faults: { claim: () => void owned++ } })
  await worker({ concurrency: 1_000, leaseMs: 60_000 }, second)
  await eventually(() => expect(owned).toBeGreaterThan(0))
  // An answer of every owner: those of the second have restored what they have.
  await eventually(async () => expect(await submitter.owners()).toMatchObject({ partitions: 4, answering: 4 }))
  release()
  expect(await Promise.all(runs.map((run) => run.result({ timeoutMs: PATIENCE_MS })))).toEqual(values)
  expect([...starts].filter(([, count]) => count !== 1)).toEqual([])
  await first.close()
}, 60_000)
