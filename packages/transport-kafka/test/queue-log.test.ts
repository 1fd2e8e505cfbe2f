// What a process knows of a log of tasks that others cut, while it is away or before it comes: the same as they.
import { Lifetime, systemClock, TaskError } from '@tasks/core/adapter'
import { expect, onTestFinished, test } from 'vitest'
import { QueueLog } from '../src/queue-log'
import type { Saying } from '../src/queue-record'
import { decodeQueueRecord, encodeQueueRecord } from '../src/queue-record'
import type { Grant } from '../src/queue-state'
import { QueueState } from '../src/queue-state'
import { CutLog } from './support/cut-log'

interface Given extends Grant {
  readonly log: QueueLog
}

/** A process, whose consumer is called by its name. */
function newProcess(log: CutLog, name: string) {
  const { driver, follower } = log.driver()
  const lifetime = new Lifetime(systemClock)
  onTestFinished(() => lifetime.end(new TaskError('TASKS_CLOSED', 'the test is over')))
  const queue = new QueueLog({ driver, lifetime, clock: systemClock, place: log.place })
  const given: Given[] = []
  queue.claimants.set(name, {
    onGrant: (by, grant) => void given.push({ ...grant, log: by }),
    onMiss: () => {},
    onBegin: () => {},
    onNews: () => {},
  })
  let wants = 0
  const want = async (): Promise<Grant | undefined> => {
    const before = given.length
    const wanted = { queues: ['q'], max: 1, suspects: true, leaseMs: 60_000, waitMs: 0 }
    await queue.want({ name: `${name}.${++wants}`, ...wanted })
    await queue.tell({ op: 'unwant', names: [] })
    return given[before]
  }
  return { queue, follower, given, want }
}

const send = (log: CutLog, ...ids: readonly string[]): number => {
  const tasks = ids.map((id) => ({ queue: 'q', priority: 0, id, body: Buffer.from(id) }))
  log.time = Date.now()
  return log.append(encodeQueueRecord([], tasks))
}

const done = ({ grant, tasks }: Grant): Saying => ({
  op: 'done',
  members: tasks.map(({ offset, from }) => ({ grant, offset, indexes: [from] })),
})

/** What all records before an offset have led to, as one who has read them writes it. */
function pictureOf(log: CutLog, before: number): Saying {
  const state = new QueueState()
  for (const { offset, time, value } of log.all)
    if (offset < before) state.fold(offset, time, decodeQueueRecord(value!))
  return { op: 'picture', upTo: before - 1, picture: state.picture() }
}

test('a process that was away while the log was cut knows who holds what when it is back', async () => {
  const log = new CutLog()
  const away = newProcess(log, 'away')
  const awake = newProcess(log, 'awake')
  await Promise.all([away.queue.started(), awake.queue.started()])
  send(log, 'one', 'two')
  const lagging = away.follower()
  lagging.isHeld = true
  for (let i = 0; i < 2; i++) await awake.queue.tell(done((await awake.want())!))
  const end = log.end
  await awake.queue.tell(pictureOf(log, end))
  log.cut(end)
  log.release(lagging)
  await away.queue.started()
  expect(await away.want()).toBeUndefined()
  const offset = send(log, 'three')
  expect((await away.want())?.tasks).toMatchObject([{ offset, from: 0, to: 1, deliveries: 1 }])
  expect(await awake.want()).toBeUndefined()
})

test('of two pictures whoever comes takes the one that was written before the cut, and not an older one behind it', async () => {
  const log = new CutLog()
  const first = newProcess(log, 'first')
  await first.queue.started()
  send(log, 'one')
  const older = pictureOf(log, log.end)
  const held = (await first.want())!
  expect(held.tasks).toHaveLength(1)
  const end = log.end
  const newer = pictureOf(log, end)
  // Their writers have read to different places; the second one cuts.
  await first.queue.tell(older)
  await first.queue.tell(newer)
  log.cut(end)
  const late = newProcess(log, 'late')
  await late.queue.started()
  expect(await late.want()).toBeUndefined()
  expect(late.queue.leftOf(held.tasks[0]!.offset, 0, held.grant)).toBeGreaterThan(30_000)
})

test('what is told again when a log is read anew is not given again', async () => {
  const log = new CutLog()
  const process = newProcess(log, 'x')
  await process.queue.started()
  send(log, 'one')
  await process.want()
  const end = log.end
  send(log, 'lost')
  await process.queue.tell({ op: 'unwant', names: [] })
  process.follower().isHeld = true
  log.loseFrom(end)
  process.follower().next = end
  send(log, 'two')
  log.release(process.follower())
  await expect.poll(() => log.end).toBe(end + 1)
  await process.queue.started()
  expect(process.given).toHaveLength(1)
})

test('what is said of very many tasks is split into records that a broker takes', async () => {
  const log = new CutLog()
  const { queue } = newProcess(log, 'x')
  await queue.started()
  const members = Array.from({ length: 30_000 }, (_, offset) => ({ grant: `x.${offset}@7`, offset, indexes: [0] }))
  await queue.tell({ op: 'keep', members, leaseMs: 1_000 }, { op: 'unwant', names: ['x.1'] })
  expect(Math.max(...log.all.map(({ value }) => value!.length))).toBeLessThan(1_000_000)
  const said = log.all.flatMap(({ value }) => decodeQueueRecord(value!).sayings)
  expect(said.flatMap((saying) => (saying.op === 'keep' ? saying.members : []))).toEqual(members)
  expect(said.at(-1)).toEqual({ op: 'unwant', names: ['x.1'] })
})
