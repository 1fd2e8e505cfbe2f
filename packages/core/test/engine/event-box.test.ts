// Events and those who wait for them, in partitions that talk by messages which come late, twice, and in any order.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeValue } from '../../src/decoding'
import { partitionOfAddress, eventAddress } from '../../src/engine/event-address'
import { BoxKeys, JOBS, PIPELINES } from '../../src/engine/row-keys'
import type { BoxRow, JobRow, KeptEvent, PipelineRow, Waiter } from '../../src/engine/rows'
import { partitionOf } from '../../src/ids'
import { waitForEvent } from '../../src/wait-for-event'
import { Kind } from '../../src/value'
import { decodeInbox, type EventMessage, type InboxBody } from '../../src/wire/inbox-message'
import { codec, ReducerWorld, submitOf } from './reducer-world'

type WakeJob = JobRow & { readonly kind: 'wake' }

const PARTITIONS = 3
const KEYS = ['k', 'l']

class Cluster {
  readonly worlds = Array.from(
    { length: PARTITIONS },
    (_, partition) => new ReducerWorld('none', { partition, partitions: PARTITIONS }),
  )
  readonly #seen = this.worlds.map(() => 0)
  /** What is on its way. */
  #messages: { readonly partition: number; readonly body: InboxBody; readonly repeated: boolean }[] = []
  readonly #next: (below: number) => number

  constructor(choices: readonly number[]) {
    let at = 0
    this.#next = (below) => choices[at++ % choices.length]! % below
  }

  send(partition: number, body: InboxBody): void {
    this.#messages.push({ partition, body, repeated: false })
  }

  /** Brings some of what is on its way, and does some of the long work. */
  async step(): Promise<boolean> {
    if (this.#messages.length > 0 && this.#next(4) > 0) return this.#bring()
    const first = this.#next(PARTITIONS)
    for (let i = 0; i < PARTITIONS; i++) {
      const partition = (first + i) % PARTITIONS
      if (await this.worlds[partition]!.work(10, this.#next(5))) {
        this.#collect(partition)
        return true
      }
    }
    return this.#messages.length > 0 && this.#bring()
  }

  #bring(): boolean {
    const [message] = this.#messages.splice(this.#next(this.#messages.length), 1)
    const { partition, body, repeated } = message!
    if (!repeated && this.#next(3) === 0) this.#messages.push({ partition, body, repeated: true })
    this.#fold(partition, body)
    return true
  }

  async settle(): Promise<void> {
    while (await this.step());
  }

  /** Lets a wait of this partition run out. */
  timeOut(partition: number): void {
    this.worlds[partition]!.fireTimer('event')
    this.#collect(partition)
  }

  cancel(id: string): void {
    const partition = partitionOf(id, PARTITIONS)
    this.worlds[partition]!.give('cancel', id)
    this.#collect(partition)
  }

  #fold(partition: number, body: InboxBody): void {
    this.worlds[partition]!.fold([body])
    this.#collect(partition)
  }

  #collect(partition: number): void {
    const { sends } = this.worlds[partition]!
    for (const { target, body } of sends.slice(this.#seen[partition]))
      if (target.to === 'inbox') this.send(target.partition, decodeInbox(body))
    this.#seen[partition] = sends.length
  }

  rows<T>(prefix: string): T[] {
    return this.worlds.flatMap((world) => world.keys(prefix).map((key) => world.row(key) as T))
  }

  pipelines(): PipelineRow[] {
    return this.rows(PIPELINES)
  }

  /** Who took which event. */
  takers(): Map<unknown, string[]> {
    const takers = new Map<unknown, string[]>()
    for (const { id, status, outcome } of this.pipelines()) {
      if (status !== 'COMPLETED') continue
      const value = decodeValue(codec, outcome)
      takers.set(value, [...(takers.get(value) ?? []), id])
    }
    return takers
  }

  keptEvents(): KeptEvent[] {
    return this.rows<KeptEvent | Waiter | BoxRow>('B').filter((row): row is KeptEvent => 'search' in row)
  }

  waiters(): Waiter[] {
    return this.rows<KeptEvent | Waiter | BoxRow>('B').filter((row): row is Waiter => 'gone' in row && !row.gone)
  }
}

const eventOf = (name: string, key: string, pipelineId: string | undefined, forOne = false): EventMessage => ({
  type: 'event',
  key,
  eventId: name,
  value: { kind: Kind.one, bytes: codec.encode(name) },
  fields: { '': name, parity: name.length % 2 },
  keepMs: 1e9,
  ...(forOne && { forOne }),
  ...(pipelineId === undefined ? {} : { pipelineId }),
})

const choices = fc.array(fc.nat(1_000), { minLength: 20, maxLength: 200 })

test('no event is lost, none is taken late by a second one, and nobody waits beside an event for him', async () => {
  await fc.assert(
    fc.asyncProperty(choices, fc.array(fc.nat(99), { minLength: 1, maxLength: 25 }), async (schedule, acts) => {
      const cluster = new Cluster([...schedule, 0, 1, 2, 3])
      const events: EventMessage[] = []
      let pipelines = 0
      for (const act of acts) {
        const key = KEYS[act % 2]!
        const own = act % 5 === 0
        if (act < 45) {
          const name = `e${events.length}${'x'.repeat(act % 2)}`
          const event = eventOf(name, key, own ? `p${act % 4}` : undefined, act % 3 === 0)
          events.push(event)
          cluster.send(partitionOfAddress(eventAddress(event.pipelineId, key), PARTITIONS), event)
        } else if (act < 85) {
          const id = `p${pipelines++}`
          const match = act % 3 === 0 ? { match: { parity: act % 2 } } : {}
          const timed = act % 7 === 0 ? { timeoutMs: 10 } : {}
          const pipeline = waitForEvent({ key, pipeline: own, ...match }, timed)
          cluster.send(partitionOf(id, PARTITIONS), submitOf(id, `run of ${id}`, pipeline))
        } else if (act < 92) cluster.timeOut(act % PARTITIONS)
        else if (pipelines > 0 && cluster.pipelines().some(({ id }) => id === `p${act % pipelines}`))
          cluster.cancel(`p${act % pipelines}`)
        for (let steps = act % 4; steps > 0; steps--) await cluster.step()
      }
      await cluster.settle()
      const takers = cluster.takers()
      const kept = cluster.keptEvents()
      expect(kept.filter((event) => !event.kept || event.out > 0 || event.search !== 'none')).toEqual([])
      const forOne = events.filter((event) => event.forOne).map(({ eventId }) => eventId)
      expect(forOne.filter((eventId) => (takers.get(eventId)?.length ?? 0) > 1)).toEqual([])
      for (const { eventId } of events) {
        const isKept = kept.filter((event) => event.eventId === eventId).length
        expect([eventId, isKept + Math.min(1, takers.get(eventId)?.length ?? 0)]).toEqual([eventId, 1])
      }
      // Whoever waits is registered, and nothing there is for him.
      const waiting = cluster.pipelines().filter(({ status }) => status === 'RUNNING')
      expect(
        cluster
          .waiters()
          .map(({ id }) => id)
          .sort(),
      ).toEqual(waiting.map(({ id }) => id).sort())
      for (const world of cluster.worlds) {
        for (const key of world.keys('B').filter((each) => /\/k[0-9a-z]{9}$/.test(each))) {
          const event = world.row<KeptEvent>(key)
          const free = world.keys(key.slice(0, key.indexOf('/') + 1) + 'w').map((row) => world.row<Waiter>(row))
          const fits = ({ match, gone }: Waiter): boolean =>
            !gone && (match === undefined || match['parity'] === event.fields!['parity'])
          expect(free.filter(fits)).toEqual([])
        }
      }
    }),
    { numRuns: process.env['TASKS_TIER'] === 'all' ? 5_000 : 400 },
  )
}, 300_000)

test('events that came before anybody waited are taken once each', async () => {
  await fc.assert(
    fc.asyncProperty(choices, fc.integer({ min: 1, max: 8 }), async (schedule, count) => {
      const cluster = new Cluster([...schedule, 0, 1, 2, 3])
      const address = eventAddress(undefined, 'k')
      for (let i = 0; i < count; i++)
        cluster.send(partitionOfAddress(address, PARTITIONS), eventOf(`e${i}`, 'k', undefined))
      await cluster.settle()
      for (let i = 0; i < count; i++)
        cluster.send(partitionOf(`p${i}`, PARTITIONS), submitOf(`p${i}`, `run ${i}`, waitForEvent({ key: 'k' })))
      await cluster.settle()
      expect(Array.from(cluster.takers().values(), (ids) => ids.length)).toEqual(Array(count).fill(1))
      expect(cluster.keptEvents()).toEqual([])
    }),
    { numRuns: 200 },
  )
}, 300_000)

test('what is remembered of events and waiters goes with its time', async () => {
  const cluster = new Cluster([1, 2, 3])
  const address = eventAddress(undefined, 'k')
  cluster.send(partitionOfAddress(address, PARTITIONS), eventOf('e', 'k', undefined))
  for (let i = 0; i < 3; i++)
    cluster.send(partitionOf(`p${i}`, PARTITIONS), submitOf(`p${i}`, `run ${i}`, waitForEvent({ key: 'k' })))
  await cluster.settle()
  for (let i = 0; i < 3; i++)
    if (cluster.pipelines().find(({ id }) => id === `p${i}`)!.status === 'RUNNING') cluster.cancel(`p${i}`)
  await cluster.settle()
  for (const world of cluster.worlds) while (world.fireTimer('forget'));
  for (const world of cluster.worlds) while (world.fireTimer('expire'));
  await cluster.settle()
  for (const world of cluster.worlds) while (world.fireTimer('forget'));
  expect(cluster.worlds.flatMap((world) => world.keys())).toEqual([])
})

test('who waits no longer, and whose wait comes only then, waits for nothing', () => {
  const world = new ReducerWorld('none')
  const name = { address: eventAddress(undefined, 'k'), id: 'p1', run: 'run of p1', path: '/0' }
  world.fold([{ type: 'unwait', ...name }])
  world.fold([{ type: 'wait', ...name, match: undefined }])
  while (world.fireTimer('forget'));
  expect(world.keys('B')).toEqual([])
})

test('an event that nobody matches writes no row of those who wait', async () => {
  const world = new ReducerWorld('none')
  for (let i = 0; i < 5; i++) world.fold([submitOf(`p${i}`, `r${i}`, waitForEvent({ key: 'k', match: { parity: 7 } }))])
  const waiters = world.keys('B').filter((key) => 'gone' in world.row<Waiter | BoxRow>(key))
  expect(waiters).toHaveLength(5)
  const before = waiters.map((key) => world.rows.get(key))
  world.fold([eventOf('a', 'k', undefined)])
  await world.settle()
  waiters.forEach((key, i) => expect(world.rows.get(key)).toBe(before[i]))
  expect(world.keys('B').map((key) => world.row<KeptEvent>(key).kept)).toContain(true)
})

test('who came while the one that was found declined is not passed by: the search begins anew, and the old one counts no more', async () => {
  const world = new ReducerWorld('none')
  const waits = (id: string, parity: number): InboxBody =>
    submitOf(id, `run of ${id}`, waitForEvent({ key: 'k', match: { parity } }))
  world.fold(['p1', 'p3', 'p4', 'p5'].map((id) => waits(id, 7)))
  world.fold([waits('p6', 1)])
  // It waits no longer; its rows go later.
  world.give('cancel', 'p6')
  world.fold([eventOf('a', 'k', undefined, true)])
  const box = new BoxKeys(eventAddress(undefined, 'k'))
  const jobs = (): WakeJob[] =>
    world
      .keys(JOBS)
      .map((key) => world.row<JobRow>(key))
      .filter((job) => job.kind === 'wake')
  const looks = (job: WakeJob, from: number, to: number): void => {
    const waiters = world.keys(box.waiters()).slice(from, to)
    world.fold([{ type: 'woken', job, waiters, done: to === Infinity }])
  }
  const [first] = jobs()
  looks(first!, 0, 2)
  world.fold([waits('p2', 1)])
  // It is asked and declines, both here: the next search starts while the first one is at work.
  looks(first!, 3, 6)
  const [second] = jobs()
  looks(second!, 0, 1)
  looks(first!, 6, Infinity)
  expect(jobs()).toEqual([second])
  looks(second!, 1, 3)
  await world.settle()
  expect(world.pipelineRow('p2').status).toBe('COMPLETED')
  expect(world.keys(box.events())).toEqual([])
})
