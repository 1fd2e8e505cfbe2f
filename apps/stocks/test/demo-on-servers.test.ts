import { startKafka, startNats, startRedis } from '@tasks/dev-config/brokers'
import { newServer } from '@tasks/dev-config/brokers/in-tests'
import { describe, expect, test } from 'vitest'
import { runDemo } from './support/demo'
import { expectedRisk } from './support/expected'

describe.each([
  ['Kafka', () => startKafka({ brief: true })],
  ['NATS', () => startNats()],
  ['Redis', () => startRedis()],
])('on %s', (_, start) => {
  test.for([['--json'], ['--json', '--crash']])(
    'demo %j gives the same numbers',
    { timeout: 120_000 },
    async (words, ctx) => {
      const { url } = await newServer(ctx, start)
      const { code, stdout } = await runDemo([...words, '--transport', url])
      expect(code).toBe(0)
      const { result, tasks, transport } = JSON.parse(stdout) as Record<'result' | 'tasks' | 'transport', unknown>
      expect({ result, tasks, transport }).toEqual({
        result: expect.closeTo(expectedRisk, 8),
        tasks: 12,
        transport: url,
      })
    },
  )
})
