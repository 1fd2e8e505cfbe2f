import { connect, createClient, startWorker, type Pipeline } from '@tasks/core'
import { adaptersOf } from '../../adapters'
import { everyPartitionAnswers, PATIENCE_MS } from '../../bed'
import { bindBenchTasks, resultOf } from '../../bench-tasks'
import { CONCURRENCY } from '../../concurrency'
import { countLeft } from '../../left'
import type { Collected, Contender, ContenderOptions } from '../contender'

const timeout = { timeoutMs: PATIENCE_MS }

export async function makeOurs({ url, namespace, lane }: ContenderOptions): Promise<Contender> {
  const { tasks, ran, noop, step, split, chain } = bindBenchTasks(namespace)
  const carry = tasks.bind('carry', ({ index }: { index: number; payload: string }) => {
    ran.noop.add(index)
    return resultOf(index)
  })
  const connection = await connect(url, { adapters: await adaptersOf(url) })
  const { transport } = connection
  const client = createClient({ namespace, transport })
  const resultOfRun = async (pipeline: Pipeline<number, void>): Promise<number> =>
    (await client.submit(pipeline)).result(timeout)
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
  return {
    ran,
    startWorker: () => startWorker({ tasks, transport, concurrency: CONCURRENCY, localLane: lane === 'local' }),
    ready: () => everyPartitionAnswers(client),
    async enqueue({ count, payload }) {
      if (payload === undefined) await client.enqueueMany(noop, numbers(count))
      else
        await client.enqueueMany(
          carry,
          numbers(count).map((index) => ({ index, payload })),
        )
    },
    async pileUp(count) {
      await client.enqueueMany(noop, numbers(count), { queue: 'backlog' })
    },
    ask: (index) => resultOfRun(step.send(index)),
    askLightly: async (index) => (await client.enqueue(step, index, { reply: true })).result(timeout),
    chain: (steps) => resultOfRun(chain(steps)),
    pipelines(pipelines, steps) {
      const pipeline = chain(steps)
      return Promise.all(Array.from({ length: pipelines }, () => resultOfRun(pipeline)))
    },
    fanOut: async (children) => (await client.submit(split, children)).result(timeout) as Promise<Collected>,
    async left() {
      const letters = await client.deadLetters.list({ limit: 10 })
      return letters.length + (await countLeft(transport, namespace))
    },
    async close() {
      await client.close()
      await connection.close()
    },
  }
}
