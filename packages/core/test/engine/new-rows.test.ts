import { expect, test } from 'vitest'
import { partitionOf } from '../../src/ids'
import type { MemoryFaults } from '../../src/memory'
import type { Send } from '../../src/transport'
import { NAMESPACE, PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

test('a pipeline whose id was drawn for it is not read before it begins', async () => {
  const { tasks, worker, client, connect } = system()
  const faults: MemoryFaults = {}
  const step = tasks.bind('step', (value: number) => value + 1)
  await worker({}, connect({ faults }))
  const submitter = client()
  const run = async (): Promise<void> => {
    expect(await (await submitter.submit(step.send(1).continueWith(step))).result(waiting)).toBe(3)
  }
  // Every partition has read how many pipelines it has.
  for (let i = 0; i < 60; i++) await run()
  let reads = 0
  faults.read = () => void reads++
  for (let i = 0; i < 20; i++) await run()
  expect(reads).toBe(0)
  await (await submitter.submit(step.send(1), { id: 'given' })).result(waiting)
  expect(reads).toBeGreaterThan(0)
})

test('a submit that comes again, to an owner that has not read its row, changes nothing', async () => {
  const { tasks, store, worker, client, connect } = system()
  const submits: Send[] = []
  let starts = 0
  const step = tasks.bind('step', () => ++starts)
  const submitter = client({}, connect({ faults: { send: (send) => void submits.push(send) } }))
  const first = await worker()
  const run = await submitter.submit(step.send())
  expect(await run.result(waiting)).toBe(1)
  const [submit] = submits.filter(({ id }) => id === run.id)
  const rows = (): string[] => store.namespaces.get(NAMESPACE)!.partitions.flatMap((partition) => partition.rows.keys())
  const before = rows()
  await first.close()

  await worker()
  const space = await connect().open({ namespace: NAMESPACE })
  await space.send([submit!])
  // Behind it, in the same inbox: what comes twice stops nobody.
  const partition = partitionOf(run.id, space.partitions)
  let id = 'other'
  while (partitionOf(id, space.partitions) !== partition) id += '+'
  await (await submitter.submit(step.send(), { id })).result(waiting)
  expect(rows().filter((key) => !key.includes('other'))).toEqual(before)
  expect(await submitter.attach(run.id).status()).toMatchObject({ status: 'COMPLETED', attempts: 1 })
  expect(await submitter.attach(run.id).result(waiting)).toBe(1)
})
