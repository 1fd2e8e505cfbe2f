import {
  actOf,
  eventOf,
  failedOf,
  inAnyOrder,
  isLoose,
  partsOf,
  generateProgram,
  interpret,
  plainOf,
  taskNameOf,
  waitsOf,
  type ChainUnit,
  type Program,
  type TaskUnit,
  type WaitUnit,
} from '@tasks/oracle'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Dispatch } from '../../src/engine/draft'
import type { Input } from '../../src/engine/input'
import { argsValue } from '../../src/engine/dispatch'
import { pipelineKey } from '../../src/engine/row-keys'
import { isOver, type PipelineRow } from '../../src/engine/rows'
import { decodeArguments, decodeFailure, decodeValue } from '../../src/decoding'
import { encodeDefinition } from '../../src/definition-encoder'
import { toFailure } from '../../src/failure'
import { NonRetryableError, RetryAfterError } from '../../src/errors'
import { Plan, type TaskUse, type Use } from '../../src/plan'
import { resolveRetry, type RetryData } from '../../src/retry'
import { encodeState, stateValues } from '../../src/state'
import { Kind, NONE } from '../../src/value'
import { encodeDefinitionValue } from '../../src/wire/packed-definition'
import type { Outcome } from '../../src/wire/inbox-message'
import { expectTrueEvents } from './true-events'
import { codec, ReducerWorld, submitOf } from './reducer-world'

// ---- Programs as pipelines ------------------------------------------------------------------------------------------

function planOf(program: Program): Plan {
  const { begin, chain, end } = partsOf(program)
  const { before, use } = chainOf(chain)!
  return new Plan(before, use, {
    ...(begin?.args === undefined ? {} : { input: begin.args }),
    ...(begin?.state === undefined ? {} : { state: begin.state }),
    ...(begin?.inline ? { inline: true } : {}),
    ...(end === undefined ? {} : { finally: taskUseOf(end) }),
  })
}

function chainOf(program: Program): Plan | undefined {
  return partsOf(program).chain.reduce<Plan | undefined>((before, unit) => new Plan(before, useOf(unit)), undefined)
}

function useOf(unit: ChainUnit): Use {
  const pause = unit.pauses ? { pauseAfter: true as const } : {}
  switch (unit.kind) {
    case 'task':
      return taskUseOf(unit)
    case 'group': {
      const { chains, returnExceptions, maxParallelism, unordered } = unit
      const how = { returnExceptions, maxParallelism, ...(unordered ? { unordered } : {}), ...pause }
      return { chains: chains.map((chain) => chainOf(chain)!), ...how }
    }
    case 'each':
    case 'listen':
      throw new Error(`${unit.kind}: that is made of tasks of the library's own, which need a worker`)
    case 'sleep':
      return { sleep: unit.ms, ...pause }
    case 'wait': {
      const { key, own, match, raceMs, timeoutMs = raceMs } = unit
      const wait: Use = {
        event: key,
        ...(own ? { pipeline: true } : {}),
        ...(match === undefined ? {} : { match: { number: match } }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }
      if (raceMs === undefined) return { ...wait, ...pause }
      // In a group of its own, so that no other failure is taken for that of the wait.
      const instead = { task: { name: INSTEAD, step: {} }, open: true, catches: true as const, overrides: undefined }
      const chain = new Plan(new Plan(undefined, wait), { ...instead, args: [eventOf(unit)] })
      return { chains: [chain], returnExceptions: false, maxParallelism: undefined, ...pause }
    }
  }
}

function taskUseOf(unit: TaskUnit): TaskUse {
  const retry = unit.policy === 'used' ? retryOf(unit) : undefined
  const step = retry === undefined ? {} : { retry }
  const overrides = unit.pauses ? { pauseAfter: true as const } : undefined
  const use = { task: { name: taskNameOf(unit), step }, open: unit.open, args: [unit], overrides }
  return unit.role === 'handler' ? { ...use, catches: true } : use
}

/** Gives what an event would have given that did not come in time. */
const INSTEAD = 'instead'

const retryOf = ({ retries }: TaskUnit): RetryData | undefined =>
  retries === undefined ? undefined : resolveRetry({ maxRetries: retries, delayMs: 10 })

/** What a run has come to. */
function outcomeOf(world: ReducerWorld): ReturnType<typeof interpret>['outcome'] {
  const { status, outcome } = world.row<PipelineRow>(pipelineKey('p'))
  if (status === 'COMPLETED') return { result: plainOf(decodeValue(codec, outcome)) }
  return { failure: failedOf(decodeFailure(outcome)) }
}

// ---- The worker: runs a dispatch ------------------------------------------------------------------------------------

function run(dispatch: Dispatch): Outcome {
  const { id, run: runId, path, attempt, step, input, args } = dispatch
  if (step.task === INSTEAD) {
    const [value] = decodeArguments(codec, argsValue(args))
    return { id, run: runId, path, attempt, value: { kind: Kind.one, bytes: codec.encode(value) } }
  }
  const upstream = step.open === 1 ? decodeArguments(codec, input) : []
  const [unit] = decodeArguments(codec, argsValue(args)) as [TaskUnit]
  const values = [...stateValues(dispatch.state)].filter((entry): entry is [string, Uint8Array] => entry[1] !== null)
  const state = Object.fromEntries(values.map(([key, bytes]) => [key, codec.decode(bytes)]))
  const number = runId.includes('+') ? Number(runId.slice(runId.indexOf('+') + 1)) + 1 : 1
  const act = actOf(unit, { inputs: upstream.map(plainOf), attempt, run: number, state })
  const sets = [...act.sets].map(([key, value]) => [key, value === null ? null : codec.encode(value)] as const)
  const outcome = {
    id,
    run: runId,
    path,
    attempt,
    state: act.does === 'fails' ? undefined : encodeState(new Map(sets)),
  }
  if (act.does === 'fails') {
    const error =
      act.how === 'throws for good'
        ? new NonRetryableError(act.message)
        : act.how === 'asks for time'
          ? new RetryAfterError(act.message, 5)
          : new Error(act.message)
    const retry = unit.policy === 'bound' ? retryOf(unit) : undefined
    return {
      ...outcome,
      value: {
        kind: Kind.error,
        bytes: Buffer.from(JSON.stringify(toFailure(error, { name: step.task, id: path, attempt }))),
      },
      verdict: {
        retryable: act.how !== 'throws for good',
        ...(act.how === 'asks for time' ? { retryAfterMs: 5 } : {}),
        ...(retry === undefined ? {} : { retry }),
      },
    }
  }
  if (act.does === 'returns') {
    const { pages, hash, taskCount } = encodeDefinition(planOf(act.program), {
      codec,
      inlineBytes: 1 << 20,
      pageBytes: 1 << 20,
      blobName: () => 'blob',
    })
    return {
      ...outcome,
      value: {
        kind: Kind.pipeline,
        bytes: encodeDefinitionValue({ hash, tasks: taskCount, pages, pageCount: pages.length }),
      },
    }
  }
  const { given } = act
  if (given.kind === 'nothing') return { ...outcome, value: NONE }
  return {
    ...outcome,
    value:
      given.kind === 'one'
        ? { kind: Kind.one, bytes: codec.encode(given.value) }
        : { kind: Kind.spread, bytes: codec.encode(given.values) },
  }
}

// ---- Random programs and schedules ----------------------------------------------------------------------------------

const simpleTask = (label: string): TaskUnit => ({
  kind: 'task',
  label,
  open: false,
  gives: 'one',
  fails: 0,
  how: 'throws',
  policy: 'used',
  ms: 0,
})

/** Each number makes one choice; shrinking them shrinks the program. */
const programs = fc.array(fc.nat(239), { maxLength: 150 }).map((choices) => {
  let at = 0
  return generateProgram((n) => (choices[at++] ?? 0) % n, {
    failings: ['throws', 'throws', 'throws for good', 'asks for time'],
    roles: true,
    sleeps: [0, 50],
    waits: [0, 30],
    state: true,
    pauses: true,
    variants: true,
    runs: 3,
  })
})

/** One for each who waits, and one that is not what any of them waits for. */
function eventsFor(program: Program): Input[] {
  const waits = waitsOf(program).filter(({ timeoutMs }) => timeoutMs === undefined)
  const event = ({ key, own }: WaitUnit, number: number, eventId: string): Input => ({
    type: 'event',
    key,
    ...(own ? { pipelineId: 'p' } : {}),
    eventId,
    value: { kind: Kind.one, bytes: codec.encode(eventOf({ key, match: number })) },
    fields: { key, number },
    keepMs: 1_000_000,
  })
  return waits.flatMap((wait, index) => [
    ...(wait.match === undefined ? [] : [event(wait, 7, `none ${index}`)]),
    event(wait, wait.match ?? 0, `event ${index}`),
  ])
}

const fireTimer = (world: ReducerWorld): boolean => world.fireTimer('dispatch') || world.fireTimer('event')

/** A failed one is retried, so many runs in all. */
const MOST_RUNS = 3

/**
 * Runs a program under a schedule: which dispatch is run next, which outcomes come late, twice, or not at all until they are sent again, how
 * many are folded at once. Every number of the schedule decides one thing.
 */
async function play(program: Program, schedule: readonly number[]): Promise<ReducerWorld> {
  const world = new ReducerWorld()
  let at = 0
  const choose = (): number => schedule[at++ % schedule.length]!
  const submit = submitOf('p', 'run', planOf(program))
  world.fold(choose() % 3 === 0 ? [submit, submit] : [submit])
  const events = eventsFor(program)
  const sent: Input[] = []
  let taken = 0
  let arrived: Outcome[] = []
  const old: Outcome[] = []
  let runs = 1
  for (let steps = 0; steps < 5_000; steps++) {
    const { status } = world.pipelineRow()
    if (isOver(status)) {
      if (status !== 'FAILED' || runs++ === MOST_RUNS) break
      world.give('retry')
      continue
    }
    const choice = choose()
    if (choice % 13 === 12) world.give(status === 'PAUSED' ? 'resume' : 'pause')
    if (events.length > 0 && choice % 6 === 5) {
      sent.push(events.splice(choose() % events.length, 1)[0]!)
      // Some that have come before come again.
      world.fold(choice % 4 === 1 ? [sent.at(-1)!, sent[choose() % sent.length]!] : [sent.at(-1)!])
      continue
    }
    if (taken < world.dispatches.length && (choice % 4 !== 3 || steps % 7 === 0)) {
      // Out of order: any of those that are out.
      const pick = taken + (choose() % (world.dispatches.length - taken))
      ;[world.dispatches[taken], world.dispatches[pick]] = [world.dispatches[pick]!, world.dispatches[taken]!]
      const dispatch = world.dispatches[taken++]!
      if (choice % 7 === 0 && dispatch.resends < 3) {
        // Lost with its worker: the window sends it again.
        world.fold([
          {
            type: 'resend',
            items: [{ lane: 'queue', id: 'p', run: dispatch.run, path: dispatch.path, attempt: dispatch.attempt }],
          },
        ])
        continue
      }
      const outcome = run(dispatch)
      arrived.push(outcome)
      if (choice % 5 === 0) arrived.push(outcome)
      continue
    }
    if (arrived.length > 0 && (choice % 3 !== 2 || steps % 5 === 0)) {
      const count = 1 + (choose() % arrived.length)
      const batch = arrived.slice(0, count)
      arrived = arrived.slice(count)
      old.push(...batch)
      // Late repeats of what was folded long ago.
      if (choice % 5 === 1) batch.push(old[choose() % old.length]!)
      // Of another run: dropped.
      if (choice % 5 === 2) batch.push({ ...batch[0]!, run: 'another' })
      world.fold([{ type: 'outcomes', outcomes: batch }])
      continue
    }
    if (await world.work(1 + (choose() % 3), choose())) continue
    if (arrived.length > 0 || taken < world.dispatches.length) continue
    if (world.pipelineRow().status === 'PAUSED') world.give('resume')
    else if (choice % 3 === 0 && fireTimer(world)) continue
    else if (events.length > 0) world.fold([events.pop()!])
    else if (!fireTimer(world)) throw new Error(`the run is stuck: ${JSON.stringify(world.keys())}`)
  }
  return world
}

test('any schedule of any program comes to what the interpreter says, once, and leaves no row behind', async () => {
  await fc.assert(
    fc.asyncProperty(programs, fc.array(fc.nat(1_000), { minLength: 1, maxLength: 200 }), async (program, schedule) => {
      // A schedule of one number could starve a run for ever.
      const world = await play(program, [...schedule, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
      const { run: runs, outcome, tasks, done, attempts, races } = interpret(program, MOST_RUNS)
      const plain = isLoose(program) ? inAnyOrder : (value: unknown) => value
      expect(plain(outcomeOf(world))).toEqual(plain(outcome))
      // Which races were won is the schedule's.
      const lost = Math.min(races, Math.max(0, world.pipelineRow().done - done))
      expect(world.pipelineRow()).toMatchObject({ tasks: tasks + lost, done: done + lost, attempts: attempts + lost })
      expect(world.ended).toHaveLength(runs)
      expectTrueEvents(world)
      while (await world.work(100)) {
        // what is left of long work
      }
      // The pipeline, its expiry, and nothing else but timers of attempts that are over. One that failed keeps what a retry would need.
      const isKept = world.pipelineRow().status === 'FAILED'
      const isLeft = (key: string): boolean => !/^([TN]\/|B)/.test(key) && !(isKept && key.startsWith('Pp/'))
      expect(world.keys().filter(isLeft)).toEqual([pipelineKey('p')])
      while (fireTimer(world));
      expect(world.fireTimer('expire')).toBe(true)
      while (await world.work(100));
      while (world.fireTimer('forget'));
      expect(world.keys()).toEqual([])
    }),
    { numRuns: process.env['TASKS_TIER'] === 'all' ? 20_000 : 1_500 },
  )
}, 300_000)

test('folding a batch in parts gives the same rows as folding it whole', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.nat(39), { maxLength: 80 }),
      fc.nat(10),
      async (size, order, cut) => {
        const program: Program = [
          {
            kind: 'group',
            returnExceptions: false,
            chains: Array.from({ length: size }, (_, index) => [simpleTask(`t${index}`)]),
          },
        ]
        const start = async (): Promise<readonly [ReducerWorld, Outcome[]]> => {
          const world = new ReducerWorld()
          world.fold([submitOf('p', 'run', planOf(program))])
          await world.work(1_000)
          return [world, world.dispatches.map(run)]
        }
        const [whole, outcomes] = await start()
        const [parts] = await start()
        const arriving = order.filter((index) => index < outcomes.length).map((index) => outcomes[index]!)
        whole.fold([{ type: 'outcomes', outcomes: arriving }])
        for (let from = 0; from < arriving.length; from += cut + 1)
          parts.fold([{ type: 'outcomes', outcomes: arriving.slice(from, from + cut + 1) }])
        const counters = (world: ReducerWorld): unknown[] =>
          world
            .keys('P')
            .filter((key) => key.includes(':g') || key.includes(':b'))
            .map((key) => [key, world.rows.get(key)!.toString()])
        expect(counters(parts)).toEqual(counters(whole))
        expect(parts.row<PipelineRow>(pipelineKey('p'))).toEqual(whole.row<PipelineRow>(pipelineKey('p')))
      },
    ),
    { numRuns: 300 },
  )
})

test('a chain that ends in itself a thousand times keeps neither rows nor depth', async () => {
  const world = new ReducerWorld()
  const hop = planOf([simpleTask('hop')])
  world.fold([submitOf('p', 'run', hop)])
  for (let hops = 0; hops < 1_000; hops++) {
    const dispatch = world.dispatches.at(-1)!
    const { pages, hash, taskCount } = encodeDefinition(hop, {
      codec,
      inlineBytes: 1 << 20,
      pageBytes: 1 << 20,
      blobName: () => 'blob',
    })
    const value = {
      kind: Kind.pipeline,
      bytes: encodeDefinitionValue({ hash, tasks: taskCount, pages, pageCount: pages.length }),
    }
    world.fold([{ type: 'outcomes', outcomes: [{ id: 'p', run: 'run', path: dispatch.path, attempt: 1, value }] }])
    expect(world.rows.size).toBeLessThanOrEqual(3)
  }
  const dispatch = world.dispatches.at(-1)!
  expect(dispatch.path).toBe('~1000/0')
  world.fold([{ type: 'outcomes', outcomes: [{ id: 'p', run: 'run', path: dispatch.path, attempt: 1, value: NONE }] }])
  expect(world.row<PipelineRow>(pipelineKey('p')).status).toBe('COMPLETED')
})
