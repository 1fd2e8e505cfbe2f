import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Dispatch } from '../../src/engine/draft'
import { argsValue } from '../../src/engine/dispatch'
import { pipelineKey, type PipelineRow } from '../../src/engine/rows'
import { decodeArguments, decodeFailure, decodeValue } from '../../src/decoding'
import { encodeDefinition } from '../../src/definition'
import { toFailure } from '../../src/failure'
import { Plan } from '../../src/plan'
import { resolveRetry } from '../../src/retry'
import { isFailure, Kind, NONE, type Value } from '../../src/value'
import { encodeDefinitionValue, type Outcome } from '../../src/wire'
import { codec, ReducerWorld, submitOf } from './reducer-world'

// ---- Programs: what a pipeline is made of, and what it comes to, computed by plain recursion ------------------------

type Program = readonly Unit[]
type Unit =
  | {
      readonly kind: 'task'
      readonly name: string
      readonly open: boolean
      readonly arg: number
      readonly failures: number
      readonly retries: number
    }
  /** A task that returns this pipeline. */
  | { readonly kind: 'call'; readonly open: boolean; readonly program: Program }
  | { readonly kind: 'group'; readonly chains: readonly Program[]; readonly returnExceptions: boolean }

function planOf(program: Program): Plan {
  let plan: Plan | undefined
  for (const unit of program) {
    if (unit.kind === 'group') {
      plan = new Plan(plan, {
        chains: unit.chains.map(planOf),
        returnExceptions: unit.returnExceptions,
        maxParallelism: undefined,
      })
    } else if (unit.kind === 'call') {
      plan = new Plan(plan, {
        task: { name: 'call', step: {} },
        open: unit.open,
        args: [unit.program],
        overrides: undefined,
      })
    } else {
      const retry = resolveRetry({ maxRetries: unit.retries, delayMs: 10 })
      plan = new Plan(plan, {
        task: { name: 'task', step: { retry } },
        open: unit.open,
        args: [unit],
        overrides: undefined,
      })
    }
  }
  return plan!
}

class Failed extends Error {}

/** The oracle: twenty lines of recursion. A result is a value or a failure. */
function interpret(program: Program, input: unknown): unknown {
  let value = input
  for (const unit of program) {
    if (unit.kind === 'task') {
      if (unit.failures > unit.retries) throw new Failed(unit.name)
      value = [unit.name, unit.arg, unit.open ? value : null]
    } else if (unit.kind === 'call') {
      value = interpret(unit.program, null)
    } else {
      const results = unit.chains.map((chain) => {
        try {
          return { value: interpret(chain, value) }
        } catch (error) {
          return { error: error as Failed }
        }
      })
      const failed = results.filter((result) => 'error' in result)
      if (failed.length > 0 && !unit.returnExceptions) throw new Failed(`${failed.length} of ${results.length}`)
      value = results.map((result) => ('error' in result ? 'failed' : result.value))
    }
  }
  return value
}

type Comes = { readonly value: unknown } | { readonly failure: string }

/** What a run must come to. */
function expectedOf(program: Program): Comes {
  try {
    return { value: interpret(program, null) }
  } catch (error) {
    return { failure: (error as Error).message }
  }
}

/** What a run has come to. */
function outcomeOf(world: ReducerWorld): Comes {
  const { status, outcome } = world.row<PipelineRow>(pipelineKey('p'))
  if (status === 'COMPLETED') return { value: plain(decodeValue(codec, outcome)) }
  const error = decodeFailure(outcome)
  // Of an aggregate only the numbers: `2 of 3 chains of a group failed…`.
  return {
    failure: error.code === 'TASKS_GROUP_FAILED' ? error.message.split(' ').slice(0, 3).join(' ') : error.message,
  }
}

/** Failures that were returned as values are all alike here, and nothing is null. */
function plain(value: unknown): unknown {
  if (value instanceof Error) return 'failed'
  return Array.isArray(value) ? value.map(plain) : (value ?? null)
}

// ---- The worker: runs a dispatch ------------------------------------------------------------------------------------

function run(dispatch: Dispatch): Outcome {
  const { id, run: runId, path, attempt, step, input, args } = dispatch
  const upstream = step.open === 1 ? decodeArguments(codec, input) : []
  const [unit] = decodeArguments(codec, argsValue(args)) as [Unit | Program]
  const outcome = (value: Value, retryable = false): Outcome =>
    isFailure(value)
      ? { id, run: runId, path, attempt, value, verdict: { retryable } }
      : { id, run: runId, path, attempt, value }
  if (step.task === 'call') {
    const { pages, hash, taskCount } = encodeDefinition(planOf(unit as Program), {
      codec,
      inlineBytes: 1 << 20,
      pageBytes: 1 << 20,
      blobName: () => 'blob',
    })
    return outcome({
      kind: Kind.pipeline,
      bytes: encodeDefinitionValue({ hash, tasks: taskCount, pages, pageCount: pages.length }),
    })
  }
  const task = unit as Unit & { kind: 'task' }
  if (attempt <= task.failures) {
    const failure = toFailure(new Error(task.name), { name: task.name, id: path, attempt })
    return outcome({ kind: Kind.error, bytes: Buffer.from(JSON.stringify(failure)) }, true)
  }
  const seen = task.open && upstream.length > 0 ? plain(upstream[0]) : null
  return outcome({ kind: Kind.one, bytes: codec.encode([task.name, task.arg, seen]) })
}

// ---- Random programs and schedules ----------------------------------------------------------------------------------

const programs = fc.letrec<{ program: Program; unit: Unit; task: Unit }>((tie) => ({
  task: fc.record({
    kind: fc.constant('task' as const),
    name: fc.constantFrom('a', 'b', 'c'),
    open: fc.boolean(),
    arg: fc.nat(9),
    failures: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat(2)),
    retries: fc.nat(2),
  }),
  unit: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('task'),
    fc.record({ kind: fc.constant('call' as const), open: fc.boolean(), program: tie('program') }),
    fc.record({
      kind: fc.constant('group' as const),
      chains: fc.array(tie('program'), { maxLength: 4 }),
      returnExceptions: fc.boolean(),
    }),
  ),
  program: fc.array(tie('unit'), { minLength: 1, maxLength: 4 }),
})).program

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
  let taken = 0
  let arrived: Outcome[] = []
  const old: Outcome[] = []
  for (let steps = 0; steps < 5_000; steps++) {
    if (world.row<PipelineRow>(pipelineKey('p')).status !== 'RUNNING') break
    const choice = choose()
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
            items: [{ lane: 'queue', id: 'p', run: 'run', path: dispatch.path, attempt: dispatch.attempt }],
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
    if (!world.fireTimer('dispatch')) throw new Error(`the run is stuck: ${JSON.stringify(world.keys())}`)
  }
  return world
}

test('any schedule of any program comes to what the interpreter says, once, and leaves no row behind', async () => {
  await fc.assert(
    fc.asyncProperty(programs, fc.array(fc.nat(1_000), { minLength: 1, maxLength: 200 }), async (program, schedule) => {
      // A schedule of one number could starve a run for ever.
      const world = await play(program, [...schedule, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
      expect(outcomeOf(world)).toEqual(expectedOf(program))
      expect(world.ended).toHaveLength(1)
      while (await world.work(100)) {
        // what is left of long work
      }
      // The pipeline, its expiry, and nothing else but timers of attempts that are over.
      expect(world.keys().filter((key) => !key.startsWith('T/'))).toEqual([pipelineKey('p')])
      while (world.fireTimer('dispatch'));
      expect(world.fireTimer('expire')).toBe(true)
      while (await world.work(100));
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
            chains: Array.from({ length: size }, (_, arg) => [
              { kind: 'task' as const, name: 'a', open: false, arg, failures: 0, retries: 0 },
            ]),
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
  const hop = planOf([{ kind: 'call', open: false, program: [] }])
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
