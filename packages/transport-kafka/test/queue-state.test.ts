// Who holds which task, as any reader of the log knows it: whatever has happened before the floor, and wherever a reader began.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Members, Picture, QueueRecord, Saying, Want } from '../src/queue-record'
import { decodeQueueRecord, decodeTasks, encodeQueueRecord } from '../src/queue-record'
import type { Grant } from '../src/queue-state'
import { QueueState } from '../src/queue-state'

const QUEUES = ['a', 'b']
const LEASE_MS = 50

const ANY: Omit<Want, 'name'> = { queues: QUEUES, max: 1, suspects: true, leaseMs: 1_000, waitMs: 0, saidAt: 0 }

interface Step {
  readonly afterMs: number
  readonly tasks: readonly { readonly queue: string; readonly priority: number }[]
  readonly want?:
    | { readonly name: string; readonly max: number; readonly suspects: boolean; readonly waitMs: number }
    | undefined
  /** Who dies. */
  readonly gone?: string | undefined
  /** What becomes of the oldest grant that is out. */
  readonly outcome: 'nothing' | 'done' | 'back' | 'later' | 'keep'
  /** Of that grant: all of its tasks, or every other one of them. */
  readonly whole: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  afterMs: fc.integer({ min: 0, max: 60 }),
  tasks: fc.array(fc.record({ queue: fc.constantFrom(...QUEUES), priority: fc.constantFrom(0, 0, 3) }), {
    maxLength: 4,
  }),
  want: fc.option(
    fc.record({
      name: fc.constantFrom('x.1', 'y.1', 'z.1'),
      max: fc.integer({ min: 1, max: 3 }),
      suspects: fc.boolean(),
      waitMs: fc.constantFrom(0, 40),
    }),
    { nil: undefined },
  ),
  gone: fc.option(fc.constantFrom('x.', 'y.'), { nil: undefined, freq: 10 }),
  outcome: fc.constantFrom('nothing', 'done', 'back', 'later', 'keep'),
  whole: fc.boolean(),
})

interface Entry {
  readonly offset: number
  readonly time: number
  readonly record: QueueRecord
}

/** Plays steps as consumers would, and answers the log and all grants. */
function play(steps: readonly Step[]): {
  readonly log: readonly Entry[]
  readonly grants: readonly Grant[]
  readonly state: QueueState
} {
  const state = new QueueState()
  const log: Entry[] = []
  const grants: Grant[] = []
  const out: Grant[] = []
  let time = 0
  steps.forEach(({ afterMs, tasks, want, outcome, gone, whole }, offset) => {
    time += afterMs
    const sayings: Saying[] = []
    const grant = outcome === 'nothing' ? undefined : out.shift()
    if (grant !== undefined) {
      const members = membersOf(grant, whole ? 1 : 2)
      if (!whole) out.push(grant)
      if (outcome === 'done') sayings.push({ op: 'done', members })
      else if (outcome === 'keep') {
        sayings.push({ op: 'keep', members, leaseMs: LEASE_MS })
        if (whole) out.push(grant)
      } else sayings.push({ op: 'back', members, delayMs: outcome === 'later' ? 30 : 0 })
    }
    if (gone !== undefined) sayings.push({ op: 'gone', prefix: gone })
    if (want !== undefined)
      sayings.push({ op: 'want', want: { ...want, queues: QUEUES, leaseMs: LEASE_MS, saidAt: time } })
    const framed = tasks.map((task, i) => ({ ...task, id: `${offset}.${i}`, body: new Uint8Array() }))
    framed.sort((a, b) => b.priority - a.priority || (a.queue < b.queue ? -1 : 1))
    const record = decodeQueueRecord(encodeQueueRecord(sayings, framed))
    log.push({ offset, time, record })
    const answers = state.fold(offset, time, record)
    grants.push(...answers.grants)
    out.push(...answers.grants)
  })
  return { log, grants, state }
}

interface Task {
  readonly offset: number
  readonly index: number
  readonly deliveries: number
}

function tasksOf({ tasks }: Grant): Task[] {
  return tasks.flatMap(({ offset, from, to, deliveries }) =>
    Array.from({ length: to - from }, (_, nth) => ({ offset, index: from + nth, deliveries })),
  )
}

/** What a saying names: every so many of each run of its tasks. */
function membersOf({ grant, tasks }: Grant, every = 1): Members[] {
  return tasks.map(({ offset, from, to }) => ({
    grant,
    offset,
    indexes: Array.from({ length: Math.ceil((to - from) / every) }, (_, nth) => from + nth * every),
  }))
}

const key = ({ offset, index }: { readonly offset: number; readonly index: number }): string => `${offset}.${index}`

test('a want gets no more than it asked for, of its queues, and a suspect alone', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { grants } = play(steps)
      for (const tasks of grants.map(tasksOf)) {
        expect(tasks.length).toBeLessThanOrEqual(3)
        const suspects = tasks.filter(({ deliveries }) => deliveries > 1)
        expect(suspects.length).toBeLessThanOrEqual(1)
        expect(suspects.length * tasks.length).toBeLessThanOrEqual(1)
        expect(new Set(tasks.map(key)).size).toBe(tasks.length)
      }
    }),
  )
})

test('a task is never said to have been delivered more often than it was handed out', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const handed = new Map<string, number>()
      for (const grant of play(steps).grants) {
        for (const task of tasksOf(grant)) {
          const times = (handed.get(key(task)) ?? 0) + 1
          handed.set(key(task), times)
          expect(task.deliveries).toBeLessThanOrEqual(times)
        }
      }
    }),
  )
})

test('nothing is lost: what is not done is handed out again in the end', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { log, state } = play(steps)
      const done = new Set<string>()
      const seen = new Set<string>()
      // From here on everything that is handed out is done, and time passes.
      let offset = log.length
      let time = (log.at(-1)?.time ?? 0) + 1_000
      for (let idle = 0; idle < 3; offset++, time += 100) {
        const want = { ...ANY, name: 'end.1', max: 10, leaseMs: LEASE_MS, saidAt: time }
        const { grants } = state.fold(offset, time, { sayings: [{ op: 'want', want }], runs: [] })
        const mine = grants.filter(({ name }) => name === 'end.1')
        idle = mine.length === 0 ? idle + 1 : 0
        for (const grant of mine) {
          for (const task of tasksOf(grant)) {
            expect(done).not.toContain(key(task))
            done.add(key(task))
            seen.add(key(task))
          }
          state.fold(++offset, time, { sayings: [{ op: 'done', members: membersOf(grant) }], runs: [] })
        }
      }
      // What is not seen at the end was done before; then nothing is left.
      expect(state.floor).toBeUndefined()
    }),
  )
})

test('whoever begins with a picture comes to the same as whoever has read everything', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 60 }), fc.nat(), (steps, nat) => {
      const { log } = play(steps)
      const cut = nat % log.length
      const whole = new QueueState()
      for (const { offset, time, record } of log.slice(0, cut)) whole.fold(offset, time, record)
      const late = QueueState.of(JSON.parse(JSON.stringify(whole.picture())) as Picture)
      expect(late.floor).toBe(whole.floor)
      for (const { offset, time, record } of log.slice(cut))
        expect(late.fold(offset, time, record)).toEqual(whole.fold(offset, time, record))
      expect(late.picture()).toEqual(whole.picture())
    }),
    { numRuns: process.env['TASKS_TIER'] === 'all' ? 20_000 : 500 },
  )
}, 120_000)

test('what the dead wanted goes to others, and what they held comes back as suspects', () => {
  const state = new QueueState()
  const want = { ...ANY, waitMs: 1_000 }
  const send: QueueRecord = { sayings: [], runs: [['a', 0, 1]] }
  state.fold(0, 0, { sayings: [{ op: 'want', want: { ...want, name: 'dead-1.1' } }], runs: [] })
  expect(state.fold(1, 1, send).grants.map(({ name }) => name)).toEqual(['dead-1.1'])
  state.fold(2, 2, { sayings: [{ op: 'want', want: { ...want, name: 'dead-1.2' } }], runs: [] })
  state.fold(3, 3, { sayings: [{ op: 'gone', prefix: 'dead-' }], runs: [] })
  expect(state.fold(4, 4, send).grants).toEqual([])
  const ask = (name: string): readonly Grant[] =>
    state.fold(5, 5, { sayings: [{ op: 'want', want: { ...want, name } }], runs: [] }).grants
  expect(ask('alive-1.1')[0]!.tasks).toMatchObject([{ offset: 1, deliveries: 2 }])
  expect(ask('alive-1.2')[0]!.tasks).toMatchObject([{ offset: 4, deliveries: 1 }])
})

/** Tells a state what is said, each in a record of its own. */
class Teller {
  readonly state = new QueueState()
  #offset = 0

  send(time: number): readonly Grant[] {
    return this.state.fold(this.#offset++, time, { sayings: [], runs: [['a', 0, 1]] }).grants
  }

  say(time: number, saying: Saying): readonly Grant[] {
    return this.state.fold(this.#offset++, time, { sayings: [saying], runs: [] }).grants
  }

  want(time: number, name: string, more: Partial<Want> = {}): readonly Grant[] {
    return this.say(time, { op: 'want', want: { ...ANY, name, saidAt: time, ...more } })
  }

  /** Asks until it is given something: a lease that is over is called so first. */
  wantLater(time: number, name: string): readonly Grant[] {
    return [...this.want(time, `${name}a`), ...this.want(time + 1_000, `${name}b`)]
  }

  keep(time: number, of: Grant): void {
    this.say(time, { op: 'keep', members: membersOf(of), leaseMs: 1_000 })
  }
}

test('a keep that comes late costs no delivery, however often', () => {
  const log = new Teller()
  log.send(0)
  const [grant] = log.want(0, 'x.1')
  let time = 0
  for (let i = 0; i < 5; i++) {
    // Somebody wants something of another queue, and sees that the lease is over, and even that it may be handed out.
    log.want((time += 1_100), `y.${i}a`, { queues: ['b'] })
    log.want((time += 1_100), `y.${i}b`, { queues: ['b'] })
    log.keep(time, grant!)
  }
  log.say(time, { op: 'back', members: membersOf(grant!), delayMs: 0 })
  expect(log.want(time, 'z.1')[0]?.tasks).toMatchObject([{ deliveries: 1 }])
})

test('a want that finds a lease over is not given its task before the holder has had the time to say that it is there', () => {
  const log = new Teller()
  log.send(0)
  const [grant] = log.want(0, 'x.1')
  // All have stood still, and the holder is not the first to speak.
  expect(log.want(60_000, 'y.1')).toEqual([])
  log.keep(60_001, grant!)
  expect(log.want(60_900, 'y.2')).toEqual([])
  expect(log.wantLater(61_002, 'y.3')[0]?.tasks).toMatchObject([{ deliveries: 2 }])
})

test('what is given to the dead again and again is a suspect, and is not condemned', () => {
  const log = new Teller()
  log.send(0)
  log.want(0, 'dead-0.1')
  let time = 0
  for (let i = 1; i < 10; i++) {
    log.say((time += 10), { op: 'gone', prefix: `dead-${i - 1}` })
    expect(log.want(time, `dead-${i}.1`)[0]?.tasks).toMatchObject([{ deliveries: 2 }])
  }
  log.say((time += 10), { op: 'gone', prefix: 'dead-' })
  const [begun] = log.want(time, 'alive-1.1')
  log.keep(time, begun!)
  log.say((time += 10), { op: 'gone', prefix: 'alive-1' })
  expect(log.want(time, 'alive-2.1')[0]?.tasks).toMatchObject([{ deliveries: 3 }])
})

test('a want that comes a lease late is void', () => {
  const log = new Teller()
  log.send(5_000)
  const want = { ...ANY, name: 'late.1', saidAt: 3_999, waitMs: 60_000 }
  const answers = log.state.fold(7, 5_000, { sayings: [{ op: 'want', want }], runs: [] })
  expect(answers).toEqual({ grants: [], missed: ['late.1'] })
  expect(log.send(5_001)).toEqual([])
  expect(log.want(5_001, 'x.1', { saidAt: 4_500 })).toHaveLength(1)
})

test('records are read as they were written', () => {
  const sayings: Saying[] = [{ op: 'done', members: [{ grant: 'é', offset: 2 ** 40, indexes: [0, 4095] }] }]
  const tasks = [
    { queue: 'é', priority: 9, id: 'é', body: Buffer.from([0, 0, 0, 0]) },
    { queue: 'é', priority: 9, id: '', body: Buffer.alloc(0) },
    { queue: '', priority: 0, id: '', body: Buffer.alloc(0) },
  ]
  const record = encodeQueueRecord(sayings, tasks)
  const runs = [
    ['é', 9, 2],
    ['', 0, 1],
  ]
  expect(decodeQueueRecord(record)).toEqual({ sayings, runs })
  expect(decodeTasks(record)).toEqual(tasks)
})
