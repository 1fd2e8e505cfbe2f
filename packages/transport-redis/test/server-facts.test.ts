import { TaskError } from '@tasks/core/adapter'
import { expect, test } from 'vitest'
import type { Connection } from '../src/connection'
import { inspectServer } from '../src/server'

/** What a server of another version would say. */
function serverSaying(lines: readonly string[]): Connection {
  const answers: Record<string, unknown> = { info: lines.join('\r\n'), config: ['appendfsync', 'always'] }
  return { command: (name: string) => Promise.resolve(answers[name]) } as unknown as Connection
}

const AOF = ['aof_enabled:1', 'maxmemory_policy:noeviction']

test.each([
  ['Redis 6.2.14', ['redis_version:6.2.14']],
  ['Valkey 7.2.5', ['redis_version:7.2.4', 'valkey_version:7.2.5']],
])('refuses %s as too old', async (name, lines) => {
  await expect(inspectServer(serverSaying([...lines, ...AOF]), 'process')).rejects.toMatchObject({
    code: 'TASKS_UNSUPPORTED',
    message: expect.stringContaining(`${name} is too old`),
  })
})

test.each([
  ['Redis', '7.0.0', ['redis_version:7.0.0']],
  ['Redis', '8.2.1', ['redis_version:8.2.1']],
  ['Valkey', '9.1.2', ['redis_version:7.2.4', 'valkey_version:9.1.2']],
])('takes %s %s', async (name, version, lines) => {
  expect(await inspectServer(serverSaying([...lines, ...AOF]), 'process')).toEqual({
    name,
    version,
    durability: 'fsync',
  })
})

test('takes the word of a server that does not tell its settings for no more than an append-only file promises', async () => {
  const server = serverSaying(['redis_version:7.2.0', ...AOF])
  const refusal = Object.assign(new Error('NOPERM'), { name: 'ReplyError' })
  const command = (name: string): Promise<unknown> =>
    name === 'config'
      ? Promise.reject(new TaskError('TASKS_UNAVAILABLE', 'no', { cause: refusal, details: { applied: 'no' } }))
      : server.command(name)
  expect(await inspectServer({ command } as unknown as Connection, 'process')).toMatchObject({ durability: 'process' })
})
