import { inParallel, TaskError } from '@tasks/core'
import { expect, test } from 'vitest'
import { clientOf } from './support/client'
import { newPath } from './support/folder'
import { add, poison } from './support/tasks'
import { supervise } from './support/worker-process'

const POISONS = 8
const MAX_DELIVERIES = 5
const PATIENCE_MS = 300_000

test.each([1, 2])(
  'eight children that kill their processes are given up, and none of those who run beside them is, with %s workers',
  async (count) => {
    const path = newPath()
    const client = clientOf(path)
    const isPoison = (index: number): boolean => index % 30 === 7 && index < 30 * POISONS
    const children = Array.from({ length: 300 }, (_, index) =>
      isPoison(index) ? poison.send('exit') : add.send(index, 0, 5),
    )
    const run = await client.submit(inParallel(children, { returnExceptions: true }))
    const supervisors = await Promise.all(
      Array.from({ length: count }, () => supervise(path, { leaseMs: 1_000, maxDeliveries: MAX_DELIVERIES })),
    )
    const results = await run.result({ timeoutMs: PATIENCE_MS })
    const codeOf = (result: unknown): unknown => (TaskError.is(result) ? result.code : result)
    expect(results.map(codeOf)).toEqual(results.map((_, index) => (isPoison(index) ? 'TASKS_MAX_DELIVERIES' : index)))
    const deaths = supervisors.reduce((total, supervisor) => total + supervisor.deaths, 0)
    expect(deaths).toBeLessThanOrEqual(POISONS * MAX_DELIVERIES)
  },
  2 * PATIENCE_MS,
)
