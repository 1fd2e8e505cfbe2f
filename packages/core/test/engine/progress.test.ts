import { expect, test } from 'vitest'
import { createClient } from '../../src/client/client'
import { taskContext } from '../../src/context'
import { memoryTransport } from '../../src/memory'
import { createTasks } from '../../src/tasks'
import { startWorker } from '../../src/worker/worker'

test.each([true, false])('a running task shows how far it is, until it ends (local lane: %s)', async (localLane) => {
  const transport = memoryTransport()
  const tasks = createTasks({ namespace: 'progress' })
  let finish: () => void = () => undefined
  const work = tasks.bind('work', async () => {
    taskContext().progress(0.25, 'a quarter')
    await new Promise<void>((resolve) => (finish = resolve))
  })
  await using worker = await startWorker({ tasks, transport, leaseMs: 1_000, partitions: 1, localLane })
  await using client = createClient({ namespace: 'progress', transport })
  const run = await client.submit(work.send(), { id: 'p' })
  await expect
    .poll(async () => (await run.status()).notes)
    .toEqual([{ taskId: 'p/0', fraction: 0.25, note: 'a quarter' }])
  expect(worker.running).toBe(1)
  finish()
  await run.result({ timeoutMs: 2_000 })
  expect((await run.status()).notes).toBeUndefined()
})
