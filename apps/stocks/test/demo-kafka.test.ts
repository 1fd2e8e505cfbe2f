import { startKafka } from '@tasks/dev-config/brokers'
import { newServer } from '@tasks/dev-config/brokers/in-tests'
import { expect, test } from 'vitest'
import { runDemo } from './support/demo'
import { expectedRisk } from './support/expected'

test.for(['--json', '--json --crash'])(
  'demo %s gives the same numbers on Kafka',
  { timeout: 120_000 },
  async (words, ctx) => {
    const { url } = await newServer(ctx, () => startKafka({ brief: true }))
    const { code, stdout } = await runDemo([...words.split(' '), '--transport', url])
    expect(code).toBe(0)
    const { result, tasks, transport } = JSON.parse(stdout) as Record<'result' | 'tasks' | 'transport', unknown>
    expect({ result, tasks, transport }).toEqual({ result: expect.closeTo(expectedRisk, 8), tasks: 12, transport: url })
  },
)
