// bee-queue: pipelined saves, jobs removed when they are done, no events between processes, as its documents advise for speed. It has no flows.
import BeeQueue from 'bee-queue'
import { resultOf } from '../../bench-tasks'
import { CONCURRENCY } from '../../concurrency'
import { Tally } from '../../tally'
import type { Contender, ContenderOptions, LoneTasks } from '../contender'

const BULK = 1_000

interface Step {
  readonly run: number
  readonly value: number
  readonly left: number
}

export async function makeBeeQueue({ url, namespace }: ContenderOptions): Promise<Contender> {
  const { hostname, port } = new URL(url)
  const settings = {
    redis: { host: hostname, port: Number(port) },
    removeOnSuccess: true,
    getEvents: false,
    sendEvents: false,
    storeJobs: false,
  }
  const queueOf = <T>(name: string, isWorker: boolean): BeeQueue<T> =>
    new BeeQueue<T>(`${namespace}-${name}`, { ...settings, isWorker })
  const lone = queueOf<{ index: number; payload?: string }>('lone', false)
  const steps = queueOf<Step>('steps', false)
  const backlog = queueOf<{ index: number }>('backlog', false)
  await Promise.all([lone.ready(), steps.ready(), backlog.ready()])

  const ran = { noop: new Tally('noop'), step: new Tally('step') }
  const waiting = new Map<number, (result: unknown) => void>()
  let runs = 0

  async function addBulk(
    queue: BeeQueue<{ index: number; payload?: string }>,
    { count, payload }: LoneTasks,
  ): Promise<void> {
    for (let from = 0; from < count; from += BULK) {
      const jobs = Array.from({ length: Math.min(BULK, count - from) }, (_, i) => {
        const index = from + i
        return queue.createJob(payload === undefined ? { index } : { index, payload })
      })
      const [error] = (await queue.saveAll(jobs)).values()
      if (error !== undefined) throw error
    }
  }

  async function relay(first: number, length: number): Promise<unknown> {
    const run = ++runs
    const last = new Promise((resolve) => waiting.set(run, resolve))
    await steps.createJob({ run, value: first, left: length - 1 }).save()
    return last
  }

  return {
    ran,
    async startWorker() {
      const loneWorker = queueOf<{ index: number }>('lone', true)
      const stepWorker = queueOf<Step>('steps', true)
      stepWorker.on('succeeded', ({ data: { run, left } }, result) => {
        if (left > 0) return
        waiting.get(run)?.(result)
        waiting.delete(run)
      })
      await Promise.all([loneWorker.ready(), stepWorker.ready()])
      loneWorker.process(CONCURRENCY, async ({ data: { index } }) => {
        ran.noop.add(index)
        return resultOf(index)
      })
      stepWorker.process(CONCURRENCY, async ({ data: { run, value, left } }: BeeQueue.Job<Step>) => {
        ran.step.add(value)
        if (left > 0) await steps.createJob({ run, value: value + 1, left: left - 1 }).save()
        return value + 1
      })
      return { close: () => Promise.all([loneWorker.close(), stepWorker.close()]) }
    },
    enqueue: (tasks) => addBulk(lone, tasks),
    pileUp: (count) => addBulk(backlog, { count }),
    ask: (index) => relay(index, 1),
    chain: (length) => relay(0, length),
    relays: (pipelines, length) => Promise.all(Array.from({ length: pipelines }, () => relay(0, length))),
    async left() {
      const healths = await Promise.all([lone.checkHealth(), steps.checkHealth()])
      return healths.reduce(
        (sum, { waiting: waits, active, failed, delayed, succeeded }) =>
          sum + waits + active + failed + delayed + succeeded,
        0,
      )
    },
    async close() {
      await Promise.all([lone.close(), steps.close(), backlog.close()])
    },
  }
}
