// The pipelines of the simulation in real time, on a real transport: nothing goes wrong but what goes wrong by itself, and each comes to what the oracle says.
import { createClient, startWorker, TaskError, type Transport } from '@tasks/core'
import { systemClock } from '@tasks/core/adapter'
import { silentLogger } from '@tasks/core/testing'
import { failedOf, generateProgram, inAnyOrder, interpret, isLoose, plainOf, type Outcome } from '@tasks/oracle'
import { isDeepStrictEqual } from 'node:util'
import { ALL_TASKS, Author, NAMESPACE, QUEUES } from './pipelines'
import { randomOf } from './random'

const PATIENCE_MS = 60_000
const MOST_AT_ONCE = 50

export interface RealOptions {
  /** A connection of its own for each worker, and one for a client. */
  readonly connect: () => Transport
  readonly seed: number
  readonly programs: number
}

/**
 * Runs so many programs, some at once, on a worker that hands over in memory, and one that takes tasks from the queues.
 * @returns what was not as it should be, in words
 */
export async function playOnReal({ connect, seed, programs }: RealOptions): Promise<readonly string[]> {
  const started = new Map<string, number>()
  const workers = await Promise.all(
    [true, false].map(async (localLane, index) => {
      const place = { name: `w${index}`, clock: systemClock, dead: false }
      const notes: Parameters<typeof Author.worker>[1] = {
        add(_, happening) {
          if (happening.what === 'started') started.set(happening.label, (started.get(happening.label) ?? 0) + 1)
        },
      }
      const { tasks } = Author.worker(place, notes, ALL_TASKS, () => undefined)
      const transport = connect()
      const worker = await startWorker({
        tasks,
        transport,
        queues: QUEUES,
        localLane,
        partitions: 4,
        logger: silentLogger,
      })
      return { worker, transport }
    }),
  )
  const transport = connect()
  const author = Author.client()
  // One on its own, and one in the process of a worker, whose owners it finds.
  const clients = [transport, workers[0]!.transport].map((each) =>
    createClient({ namespace: NAMESPACE, transport: each, logger: silentLogger }),
  )
  const { below } = randomOf(seed, 'real')
  const play = async (index: number): Promise<readonly string[]> => {
    const program = generateProgram(below, {
      prefix: `${index}.`,
      size: 8,
      durations: [0, 0, 0, 1, 20],
      failings: ['throws', 'throws for good', 'asks for time'],
      queues: [undefined, undefined, ...QUEUES],
      roles: true,
      sleeps: [0, 1, 30],
      each: true,
      state: true,
      variants: true,
    })
    const expected = interpret(program)
    const run = await clients[index % clients.length]!.submit(author.pipeline(program))
    const outcome = await outcomeOf(run.result({ timeoutMs: PATIENCE_MS }))
    const [told, wanted] = isLoose(program)
      ? [inAnyOrder(outcome), inAnyOrder(expected.outcome)]
      : [outcome, expected.outcome]
    const about = `seed ${seed}, program ${index}`
    const broken = isDeepStrictEqual(told, wanted)
      ? []
      : [`${about}: ${JSON.stringify(told)}, not ${JSON.stringify(wanted)}\n${JSON.stringify(program)}`]
    const { tasks, done, attempts } = await run.status()
    const counts = { tasks, done, attempts }
    const wantedCounts = { tasks: expected.tasks, done: expected.done, attempts: expected.attempts }
    if (!isDeepStrictEqual(counts, wantedCounts))
      broken.push(`${about}: ${JSON.stringify(counts)}, not ${JSON.stringify(wantedCounts)}`)
    for (const [label, { attempts: each, times }] of expected.runs) {
      const count = started.get(label) ?? 0
      if (count !== each * times) broken.push(`${about}: ${label} ran ${count} times, not ${each * times}`)
    }
    return broken
  }
  try {
    const broken: string[] = []
    for (let from = 0; from < programs; from += MOST_AT_ONCE) {
      const indices = Array.from({ length: Math.min(MOST_AT_ONCE, programs - from) }, (_, index) => from + index)
      broken.push(...(await Promise.all(indices.map(play))).flat())
    }
    return broken
  } finally {
    for (const client of clients) await client.close()
    await transport.close()
    for (const each of workers) {
      await each.worker.close()
      await each.transport.close()
    }
  }
}

async function outcomeOf(result: Promise<unknown>): Promise<Outcome> {
  try {
    return { result: plainOf(await result) }
  } catch (error) {
    if (!TaskError.is(error)) throw error
    return { failure: failedOf(error) }
  }
}
