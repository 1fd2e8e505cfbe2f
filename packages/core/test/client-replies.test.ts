import { expect, test } from 'vitest'
import { createClient } from '../src/client/client'
import { TaskError } from '../src/errors'
import type { Transport } from '../src/transport'
import { silentLogger } from '../src/testing/silent-logger'
import { system, NAMESPACE } from './support/system'

test('a client that could not open its replies, because the broker was away, opens them at its next call', async () => {
  const { tasks, worker, connect } = system()
  const double = tasks.bind('double', (n: number) => 2 * n)
  await worker()
  const inner = connect()
  let calls = 0
  const transport: Transport = {
    get name() {
      return inner.name
    },
    get capabilities() {
      return inner.capabilities
    },
    async open(options) {
      const space = await inner.open(options)
      const replies = space.replies.bind(space)
      return Object.assign(space, {
        replies: async (onReply: Parameters<typeof replies>[0]) => {
          if (calls++ === 0) throw new TaskError('TASKS_UNAVAILABLE', 'the broker is away')
          return replies(onReply)
        },
      })
    },
    close: () => inner.close(),
  }
  await using client = createClient({ namespace: NAMESPACE, transport, logger: silentLogger })
  await expect(client.submit(double, 1)).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  expect(await (await client.submit(double, 2)).result({ timeoutMs: 10_000 })).toBe(4)
  expect(calls).toBe(2)
})
