// BullMQ: jobs are added in bulk, removed when they are done, and children have a queue of their own, so that whoever waits for a parent does not read their
// events. Where worker and waiter share a process, the worker's own event says that a job is finished: nothing says it sooner.
import { FlowProducer, Queue, QueueEvents, Worker, type FlowJob, type Job } from 'bullmq'
import { resultOf } from '../../bench-tasks'
import { CONCURRENCY } from '../../concurrency'
import { Tally } from '../../tally'
import { checkChildren } from '../check-children'
import type { Collected, Contender, ContenderOptions, LoneTasks } from '../contender'

/** Larger bulks are no faster. */
const BULK = 1_000
const opts = { removeOnComplete: true }

interface Step {
  /** Who waits for it. */
  readonly run: number
  readonly value: number
  /** How many steps come after it. */
  readonly left: number
}

export async function makeBullmq({ url, namespace }: ContenderOptions): Promise<Contender> {
  const { hostname, port } = new URL(url)
  const settings = { connection: { host: hostname, port: Number(port) } }
  const names = {
    lone: `${namespace}-lone`,
    steps: `${namespace}-steps`,
    parents: `${namespace}-parents`,
    children: `${namespace}-children`,
    backlog: `${namespace}-backlog`,
  }
  const lone = new Queue(names.lone, settings)
  const steps = new Queue<Step>(names.steps, settings)
  const parents = new Queue<{ children: number }>(names.parents, settings)
  const children = new Queue(names.children, settings)
  const backlog = new Queue(names.backlog, settings)
  const flows = new FlowProducer(settings)
  const parentEvents = new QueueEvents(names.parents, settings)
  await parentEvents.waitUntilReady()

  const ran = { noop: new Tally('noop'), step: new Tally('step') }
  const waiting = new Map<number, (result: unknown) => void>()
  let runs = 0

  async function noop({ data: { index } }: Job<{ index: number }>): Promise<number> {
    ran.noop.add(index)
    return resultOf(index)
  }

  async function step(job: Job<Step>): Promise<number> {
    const { run, left } = job.data
    const value = job.name === 'link' ? Object.values(await job.getChildrenValues<number>())[0]! : job.data.value
    ran.step.add(value)
    if (job.name === 'relay' && left > 0) await steps.add('relay', { run, value: value + 1, left: left - 1 }, opts)
    return value + 1
  }

  async function parent(job: Job<{ children: number }>): Promise<Collected | undefined> {
    if (job.name === 'collect') return checkChildren(Object.values(await job.getChildrenValues<number>()))
    await flows.add({
      name: 'collect',
      queueName: names.parents,
      opts: { ...opts, jobId: `${job.id}-collect` },
      children: Array.from({ length: job.data.children }, (_, index) => ({
        name: 'noop',
        queueName: names.children,
        data: { index },
        opts,
      })),
    })
    return undefined
  }

  /** A job that waits for the one before it, down to the first; the last is the root of the flow. */
  function pipelineOf(run: number, length: number): FlowJob {
    let flow: FlowJob | undefined
    for (let value = 0; value < length; value++) {
      const data: Step = { run, value, left: length - value - 1 }
      const job = { name: value === 0 ? 'first' : 'link', queueName: names.steps, data, opts }
      flow = flow === undefined ? job : { ...job, children: [flow] }
    }
    return flow!
  }

  /** Resolves when the last job of this run is finished. */
  function lastOf(run: number): Promise<unknown> {
    return new Promise((resolve) => waiting.set(run, resolve))
  }

  async function addBulk(queue: Queue, { count, payload }: LoneTasks): Promise<void> {
    for (let from = 0; from < count; from += BULK) {
      const length = Math.min(BULK, count - from)
      await queue.addBulk(
        Array.from({ length }, (_, i) => ({ name: 'noop', data: { index: from + i, payload }, opts })),
      )
    }
  }

  async function relay(length: number): Promise<unknown> {
    const run = ++runs
    const last = lastOf(run)
    await steps.add('relay', { run, value: 0, left: length - 1 }, opts)
    return last
  }

  return {
    ran,
    async startWorker() {
      const options = { ...settings, concurrency: CONCURRENCY }
      const stepWorker = new Worker(names.steps, step, options)
      stepWorker.on('completed', ({ data: { run, left } }, result) => {
        if (left > 0) return
        waiting.get(run)?.(result)
        waiting.delete(run)
      })
      const workers = [
        stepWorker,
        new Worker(names.lone, noop, options),
        new Worker(names.parents, parent, options),
        new Worker(names.children, noop, options),
      ]
      await Promise.all(workers.map((worker) => worker.waitUntilReady()))
      return { close: () => Promise.all(workers.map((worker) => worker.close())) }
    },
    enqueue: (tasks) => addBulk(lone, tasks),
    pileUp: (count) => addBulk(backlog, { count }),
    async ask(index) {
      const run = ++runs
      const last = lastOf(run)
      await steps.add('ask', { run, value: index, left: 0 }, opts)
      return last
    },
    chain: relay,
    async pipelines(pipelines, length) {
      const first = runs + 1
      runs += pipelines
      const all = Array.from({ length: pipelines }, (_, i) => lastOf(first + i))
      await flows.addBulk(all.map((_, i) => pipelineOf(first + i, length)))
      return Promise.all(all)
    },
    relays: (pipelines, length) => Promise.all(Array.from({ length: pipelines }, () => relay(length))),
    async fanOut(count) {
      const jobId = `run-${++runs}`
      const collected = new Promise<Collected>((resolve) => {
        const listener = (event: { jobId: string; returnvalue: unknown }): void => {
          if (event.jobId !== `${jobId}-collect`) return
          parentEvents.off('completed', listener)
          resolve(event.returnvalue as Collected)
        }
        parentEvents.on('completed', listener)
      })
      await parents.add('split', { children: count }, { ...opts, jobId })
      return collected
    },
    async left() {
      const counts = await Promise.all([lone, steps, parents, children].map((queue) => queue.getJobCounts()))
      return counts.flatMap((each) => Object.values(each)).reduce((a, b) => a + b, 0)
    },
    async close() {
      await Promise.all([lone, steps, parents, children, backlog, flows, parentEvents].map((each) => each.close()))
    },
  }
}
