import assert from 'node:assert/strict'
import { createTasks, inParallel, waitForEvent, type CloudEvent, type PollOptions } from '@tasks/core'
import { eventually, pause } from '../patience'
import type { EngineCase } from './engine-case'

const statusOf = ({ data }: CloudEvent): string | undefined => (data as { readonly status?: string }).status

export const events: readonly EngineCase[] = [
  {
    name: 'tells what happens to pipelines, once and in order, and durably what workers did, while their owners die',
    because: 'whoever follows a pipeline must not see a step that was not, nor miss one that was',
    requires: ['crash'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const slow = tasks.bind('slow', (n: number) => new Promise<number>((resolve) => setTimeout(() => resolve(n), 5)))
      const options = { events: 'tasks', durableWorkerEvents: true } as const
      const first = await stage.worker(tasks, options)
      const client = await stage.client()
      const stream = await client.subscribe()
      const ids = Array.from({ length: 12 }, (_, index) => `p${index}`)
      const chain = slow.send(1).continueWith(slow).continueWith(slow).continueWith(slow)
      const runs = await Promise.all(ids.map((id) => client.submit(chain, { id })))
      await eventually(stage.patienceMs, async () => assert.ok((await runs[0]!.status()).done > 0))
      await stage.harness.crash!(first.transport)
      await stage.workers(tasks, options)
      await Promise.all(runs.map((run) => run.result({ timeoutMs: stage.patienceMs })))
      const told = new Map(ids.map((id) => [id, [] as CloudEvent[]]))
      let ended = 0
      for await (const item of stream) {
        assert.equal(item.kind, 'event', 'nothing is missing')
        if (item.kind !== 'event') continue
        told.get(item.event.rootid!)!.push(item.event)
        if (statusOf(item.event) === 'COMPLETED' && ++ended === ids.length) break
      }
      for (const [id, both] of told) {
        const isWorkers = ({ type }: CloudEvent): boolean => type.startsWith('dev.tasks.worker.')
        const all = both.filter((event) => !isWorkers(event))
        assert.deepEqual(
          all.map(({ sequence }) => Number(sequence)),
          all.map((_, index) => index + 1),
          `the events of ${id} are not in order`,
        )
        const of = (type: string): number => all.filter((event) => event.type === `dev.tasks.${type}`).length
        assert.deepEqual([of('pipeline.created'), of('task.completed'), of('pipeline.status')], [1, 4, 2])
        const said = both.filter(isWorkers).map(({ source, subject, type }) => `${type} ${subject} ${source}`)
        for (const { subject, type } of all) {
          if (type !== 'dev.tasks.task.completed') continue
          const finished = said.find((text) => text.startsWith(`dev.tasks.worker.finished ${subject} `))
          assert.ok(finished !== undefined, `no worker has said that it finished ${subject}`)
          const started = finished.replace('.finished ', '.started ')
          assert.ok(said.includes(started), `${subject} was finished by a worker that has not said that it started it`)
        }
      }
    },
  },
  {
    name: 'wakes pipelines that wait for an event, and gives each event once',
    because: 'an approval that is lost stops an order, and one that counts twice pays it twice',
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const echo = tasks.bind('echo', (x: unknown) => x)
      await stage.workers(tasks)
      const client = await stage.client()
      const own = (id: string) => client.submit(waitForEvent({ key: 'go', pipeline: true }).continueWith(echo), { id })
      // Before it, and after it.
      await client.sendEvent({ key: 'go', pipelineId: 'early', value: 1 })
      const [early, late] = [await own('early'), await own('late')]
      const both = await client.submit(inParallel([waitForEvent({ key: 'a' }), waitForEvent({ key: 'b' })]), {
        id: 'both',
      })
      const all = await Promise.all(
        Array.from({ length: 10 }, (_, i) => client.submit(waitForEvent({ key: 'start' }), { id: `all${i}` })),
      )
      await eventually(stage.patienceMs, async () => {
        const states = await Promise.all([late, ...all].map((run) => run.describe()))
        for (const { chain } of states) assert.equal(chain?.entries[0]?.state, 'waiting')
      })
      for (let times = 0; times < 3; times++) {
        await client.sendEvent({ key: 'go', pipelineId: 'late', value: 2, id: 'once' })
        await client.sendEvent({ key: 'a', value: 'A', id: 'a' })
        await client.sendEvent({ key: 'b', value: 'B', id: 'b' })
      }
      const wait = { timeoutMs: stage.patienceMs }
      assert.deepEqual(await Promise.all([early.result(wait), late.result(wait), both.result(wait)]), [
        1,
        2,
        ['A', 'B'],
      ])
      // Who was registered only now may have come behind the event: it is kept for whoever is left.
      await eventually(stage.patienceMs, async () => {
        await client.sendEvent({ key: 'start', value: 'now' })
        const ended = await Promise.all(all.map((run) => run.status()))
        assert.ok(ended.every(({ status }) => status === 'COMPLETED'))
      })
      const again = await client.submit(waitForEvent({ key: 'a' }, { timeoutMs: 200 }), { id: 'again' })
      await assert.rejects(again.result(wait), { code: 'TASKS_TIMEOUT' })
    },
  },
  {
    name: 'gives an event that is for one to one of those who wait',
    because: 'a message of a queue is work for one, and not news for all',
    lanes: ['mixed'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const double = tasks.bind('double', (job: number) => job * 2)
      await stage.workers(tasks)
      const client = await stage.client()
      const jobs = [0, 1, 2, 3, 4, 5]
      const wait = (id: number) =>
        client.submit(waitForEvent<number>({ key: 'job' }).continueWith(double), { id: `p${id}` })
      // Some wait before it comes, some behind it.
      const early = await Promise.all(jobs.slice(3).map(wait))
      for (const job of jobs) await client.sendEvent({ key: 'job', value: job, id: `${job}`, wakes: 'one' })
      const late = await Promise.all(jobs.slice(0, 3).map(wait))
      const done = await Promise.all([...early, ...late].map((run) => run.result({ timeoutMs: stage.patienceMs })))
      assert.deepEqual(
        done.sort((a, b) => a - b),
        [0, 2, 4, 6, 8, 10],
      )
    },
  },
  {
    name: 'commits the event of a listener before its source forgets it, while a worker dies',
    because: 'an event that is acknowledged first is lost with the worker, and one that is polled again was seen twice',
    requires: ['crash'],
    lanes: ['mixed'],
    async play(stage) {
      const tasks = createTasks({ namespace: stage.namespace })
      const ids = Array.from({ length: 6 }, (_, index) => `p${index}`)
      const held = new Set(ids)
      let isOpen = false
      let polls = 0
      const source = tasks.bindListener(
        'source',
        {
          async pollForEvent(id: string, { signal }: PollOptions) {
            polls++
            while (!isOpen || !held.has(id)) {
              signal.throwIfAborted()
              await pause(5)
            }
            return { id }
          },
          async eventCheckpointed({ id }: { readonly id: string }) {
            await pause(5)
            held.delete(id)
          },
        },
        { retry: { maxRetries: 100, delayMs: 5, maxDelayMs: 100 } },
      )
      const echo = tasks.bind('echo', (event: { readonly id: string }) => [event.id, held.has(event.id)])
      const { transport } = await stage.worker(tasks)
      const client = await stage.client()
      const wait = (id: string) => client.submit(waitForEvent(source, id).continueWith(echo), { id })
      const runs = await Promise.all(ids.map(wait))
      await eventually(stage.patienceMs, () => assert.ok(polls >= ids.length))
      isOpen = true
      await eventually(stage.patienceMs, () => assert.ok(held.size < ids.length))
      await stage.harness.crash!(transport)
      await stage.workers(tasks)
      const timeoutMs = stage.patienceMs + 6 * stage.leaseMs
      assert.deepEqual(
        await Promise.all(runs.map((run) => run.result({ timeoutMs }))),
        ids.map((id) => [id, false]),
      )
    },
  },
]
