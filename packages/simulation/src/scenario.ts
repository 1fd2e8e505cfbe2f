// What is simulated, as data: drawn from a seed, made simpler when it fails, printed when somebody is to read it.
import type { EventLevel } from '@tasks/core'
import { generateProgram, listensOf, tasksOf, waitsOf, type Program, type TaskUnit, type Unit } from '@tasks/oracle'
import { FAULTS, type FaultKind } from './faults'
import { ALL_TASKS, QUEUES } from './pipelines'
import { randomOf, type Random } from './random'

export interface Scenario {
  readonly seed: number
  /** Nothing goes wrong, and calls are quick: then every task runs exactly as often as the oracle says. */
  readonly calm: boolean
  readonly partitions: number
  readonly leaseMs: number
  readonly maxMessageBytes: number
  readonly maxCommitItems: number
  /** How long a call takes each way: mostly up to the first, now and then up to the second; in ms. */
  readonly latencyMs: readonly [number, number]
  readonly workers: readonly WorkerSpec[]
  readonly clients: number
  readonly near?: readonly NearSpec[]
  /** Submits whose ids were drawn come once more, so long after. */
  readonly echoMs?: number
  readonly pipelines: readonly PipelineSpec[]
  readonly loners: readonly LonerSpec[]
  readonly commands?: readonly CommandSpec[]
  readonly events?: readonly EventSpec[]
  /** What owners say on the event log. Somebody listens. */
  readonly level?: EventLevel
  /** What workers say there of tasks. Default: nothing. */
  readonly workerEvents?: 'best effort' | 'durable'
  /** Of all that is said there. */
  readonly subscription?: SubscriptionSpec
  /** How often a task may be delivered. Default: so often that none becomes a dead letter because its workers die. */
  readonly maxDeliveries?: number
  /** Whether clients can read rows themselves; else owners are asked. */
  readonly reader?: boolean
  readonly faults: Partial<Record<FaultKind, number>>
  readonly mishaps: readonly Mishap[]
  /** From then on nothing goes wrong. */
  readonly healAtMs: number
}

export interface WorkerSpec {
  readonly roles: readonly ('owner' | 'worker')[]
  readonly concurrency: number
  readonly localLane: boolean
  readonly queues: readonly string[]
  /** Of the tasks that there are, how many. */
  readonly knows: number
  /** It polls for what listeners wait for. */
  readonly listens?: true
}

/** A named one, which its members share. */
export interface SubscriptionSpec {
  readonly leaseMs: number
  /** How long each takes for a batch. */
  readonly handleMs: readonly number[]
}

/** A client that lives in the process of a worker, on its transport: what it submits may go straight to the owners there. */
export interface NearSpec {
  readonly client: number
  readonly worker: number
}

export interface PipelineSpec {
  readonly id: string
  /** How long its outcome is kept. Default: until all is over. */
  readonly retentionMs?: number
  readonly submits: readonly SubmitSpec[]
}

export interface SubmitSpec {
  readonly client: number
  readonly atMs: number
  readonly program: Program
  readonly onDuplicate?: 'reject' | 'restart'
  readonly delayMs?: number
  /** Its client draws the id: most likely it is new, and its owner does not look. */
  readonly drawn?: true
  /** When it is over, and about to be forgotten, it is submitted again. */
  readonly again?: true
  /** If it fails, it is retried so many times by who has submitted it. */
  readonly retries?: number
}

export interface LonerSpec {
  readonly client: number
  readonly atMs: number
  readonly program: Program
  /** It has a row, and its result is kept. */
  readonly kept?: true
  readonly delayMs?: number
}

/** Whether it is a pipeline of one task: it can be found again. */
export const isKeptLoner = ({ kept, delayMs }: LonerSpec): boolean => kept === true || delayMs !== undefined

export type Command = 'pause' | 'resume' | 'cancel' | 'retry' | 'delete'

export interface CommandSpec {
  readonly client: number
  readonly atMs: number
  readonly id: string
  readonly command: Command
  readonly graceMs?: number
}

export interface EventSpec {
  readonly client: number
  readonly atMs: number
  readonly id: string
  readonly key: string
  /** What waiters may ask for. */
  readonly number: number
  /** Default: the namespace. */
  readonly pipelineId?: string
  /** How often it is sent, with the same id, and how long after each other. */
  readonly times: number
  readonly everyMs: number
}

/** Whether it may be taken away, so that whatever is submitted, or delivered late, makes it begin anew. */
export function isMortal({ commands = [] }: Scenario, { id, retentionMs }: PipelineSpec): boolean {
  return retentionMs !== undefined || commands.some((one) => one.id === id && one.command === 'delete')
}

/** Whether there may be more runs of it than are known now, which wait for events of their own. */
export function mayRunAgain(scenario: Scenario, pipeline: PipelineSpec): boolean {
  return isMortal(scenario, pipeline) || pipeline.submits.some(({ onDuplicate }) => onDuplicate === 'restart')
}

export type Mishap =
  /** The worker dies at its so many-th await of the transport, before or after the call has its effect. */
  | { readonly kind: 'crash'; readonly worker: number; readonly pass: number }
  | { readonly kind: 'crash of a client'; readonly client: number; readonly pass: number }
  | { readonly kind: 'pause'; readonly worker: number; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'jump'; readonly worker: number; readonly atMs: number; readonly byMs: number }
  /** Of a member of the subscription. */
  | { readonly kind: 'crash of a member'; readonly member: number; readonly pass: number }
  | { readonly kind: 'pause of a member'; readonly member: number; readonly atMs: number; readonly forMs: number }
  /** Closed as it should be, and started again. */
  | { readonly kind: 'deploy'; readonly worker: number; readonly atMs: number }
  /** Every worker dies; each partition is restored from its rows. */
  | { readonly kind: 'blackout'; readonly atMs: number }

const CALM_DURATIONS = [0, 0, 0, 1, 20, 400]
const DURATIONS = [...CALM_DURATIONS, 3_000, 25_000]

export function scenarioOf(seed: number): Scenario {
  const said = withWorkerEvents(randomOf(seed, 'worker events'), farScenarioOf(seed))
  const repeats = repeated(randomOf(seed, 'again'), crowded(randomOf(seed, 'crowd'), said))
  const scenario = shared(randomOf(seed, 'shared'), listening(randomOf(seed, 'listeners'), repeats))
  return 'maxDeliveries' in scenario ? scenario : nearer(randomOf(seed, 'near'), scenario)
}

/** With what pipelines say of their tasks beside it there is more to compare. */
function withWorkerEvents({ chance, pick }: Random, scenario: Scenario): Scenario {
  if (chance(0.75)) return scenario
  const workerEvents = pick(['best effort', 'durable', 'durable'] as const)
  return chance(0.25) ? { ...scenario, workerEvents } : { ...scenario, workerEvents, level: 'tasks' }
}

function farScenarioOf(seed: number): Scenario {
  const random = randomOf(seed, 'scenario')
  const { below, chance, pick } = random
  const calm = chance(0.15)
  const leaseMs = pick([1_000, 10_000, 10_000])
  const clients = 1 + below(2)
  const workers = Array.from({ length: 1 + below(3) }, (_, index) => workerSpec(random, index === 0))
  const healAtMs = calm ? 0 : pick([2_000, 20_000, 120_000])
  const waits = chance(0.4)
  const drawn = Array.from({ length: 1 + below(3) }, (_, index) => pipelineSpec(random, index, clients, waits))
  const hasPoison = !calm && chance(0.06)
  const pipelines = hasPoison ? poisoned(random, drawn) : drawn
  const hasFaults = !calm && !hasPoison
  return {
    seed,
    calm,
    level: pick<EventLevel>(['none', 'none', 'pipelines', 'tasks']),
    ...(hasPoison ? { maxDeliveries: 4 } : {}),
    partitions: 1 + below(4),
    leaseMs,
    maxMessageBytes: pick([160_000, 160_000, 1 << 20]),
    maxCommitItems: pick([24, 200, 10_000]),
    // A lease that may run out while it is being extended is a fault.
    latencyMs: pick([[0.5, 2], [1, 20], calm && leaseMs === 1_000 ? [2, 40] : [5, 400]] as const),
    workers,
    clients,
    pipelines,
    loners: Array.from({ length: chance(0.4) ? 1 + below(3) : 0 }, (_, index) => lonerSpec(random, index, clients)),
    commands: chance(0.4) ? commandsOf(random, pipelines, clients, healAtMs) : [],
    events: eventsOf(random, pipelines, clients),
    reader: chance(0.5),
    faults: hasFaults ? faultsOf(random) : {},
    mishaps: hasFaults ? mishapsOf(random, workers.length, clients, healAtMs) : [],
    healAtMs,
  }
}

/** Several who wait for one event, at a place of their own; perhaps they are being cancelled when it comes. Whoever comes too late for it gets another. */
function crowded({ below, chance, pick }: Random, scenario: Scenario): Scenario {
  if (chance(0.9)) return scenario
  const { clients, pipelines, events = [], commands = [] } = scenario
  const key = 'crowd'
  const chains = Array.from({ length: 2 + below(3) }, (_, index): Program => [
    { kind: 'wait', key },
    plainTask(`p4a${index}`),
  ])
  const firstMs = pick([500, 2_000, 20_000])
  const isCancelled = firstMs > 500 && chance(0.5)
  // While it runs, cancelling goes on.
  const long: Program[] = isCancelled ? [[{ ...plainTask('p4l'), ms: 25_000 }]] : []
  const program: Program = [{ kind: 'group', returnExceptions: false, chains: [...chains, ...long] }, plainTask('p4z')]
  const cancel: CommandSpec = {
    client: below(clients),
    atMs: firstMs - 400,
    id: 'p4',
    command: 'cancel',
    graceMs: 30_000,
  }
  return {
    ...scenario,
    pipelines: [...pipelines, { id: 'p4', submits: [{ client: below(clients), atMs: below(300), program }] }],
    commands: isCancelled ? [...commands, cancel] : commands,
    events: [
      ...events,
      ...chains.map((_, index) => ({
        client: below(clients),
        atMs: firstMs + 20_000 * index,
        id: `crowd${index}`,
        key,
        number: 0,
        times: 1,
        everyMs: 0,
      })),
    ],
  }
}

/** One more pipeline, which waits for what is not ours: some workers ask for it. */
function listening(random: Random, scenario: Scenario): Scenario {
  const { below, chance, pick } = random
  if (chance(0.8)) return scenario
  const { clients, workers, pipelines, commands = [], calm, healAtMs } = scenario
  let program: Program
  do {
    const size = pick([3, 6])
    program = generateProgram(below, { prefix: 'p5a', size, durations: CALM_DURATIONS, ...LISTENING })
  } while (listensOf(program).length === 0)
  const first = { client: below(clients), atMs: below(300), program, ...(chance(0.4) ? { retries: 2 } : {}) }
  const again: SubmitSpec = { client: below(clients), atMs: below(5_000), program, onDuplicate: 'restart' }
  const window = pick([600, 5_000, Math.max(5_000, healAtMs)])
  const command: CommandSpec = {
    client: below(clients),
    atMs: below(window),
    id: 'p5',
    command: pick(['pause', 'pause', 'cancel']),
    graceMs: 30_000,
  }
  return {
    ...scenario,
    workers: workers.map((spec, index) => (index === 0 || chance(0.7) ? { ...spec, listens: true } : spec)),
    pipelines: [...pipelines, { id: 'p5', submits: !calm && chance(0.15) ? [first, again] : [first] }],
    commands: chance(0.3) ? [...commands, command] : commands,
  }
}

/** Several share what is said, where something is. */
function shared({ below, chance, pick }: Random, scenario: Scenario): Scenario {
  const { level, workerEvents, calm, healAtMs, mishaps } = scenario
  if ((level === 'none' && workerEvents === undefined) || chance(0.75)) return scenario
  const handleMs = Array.from({ length: 1 + below(2) }, () => pick([0, 30, 2_000]))
  const more: Mishap[] = []
  while (!calm && chance(0.8) && more.length < 5) {
    const member = below(handleMs.length)
    const atMs = below(healAtMs)
    more.push(
      chance(0.7)
        ? { kind: 'crash of a member', member, pass: below(pick([12, 40])) }
        : { kind: 'pause of a member', member, atMs, forMs: pick([3_000, 30_000]) },
    )
  }
  return {
    ...scenario,
    subscription: { leaseMs: pick([1_000, 10_000]), handleMs },
    mishaps: [...mishaps, ...more],
  }
}

function repeated({ chance }: Random, scenario: Scenario): Scenario {
  const isShort = ({ retentionMs = Infinity }: PipelineSpec): boolean => retentionMs <= 3_000
  if (!scenario.pipelines.some(isShort) || chance(0.4)) return scenario
  return {
    ...scenario,
    pipelines: scenario.pipelines.map((one) => (isShort(one) ? firstSubmit(one, { again: true }) : one)),
  }
}

function firstSubmit(pipeline: PipelineSpec, more: Partial<SubmitSpec>): PipelineSpec {
  const [first, ...others] = pipeline.submits
  return { ...pipeline, submits: [{ ...first!, ...more }, ...others] }
}

/** What dies with the first task of what it submits, before that is stored, would submit it for ever: where tasks kill, nobody is near. */
function nearer({ below, chance, pick }: Random, scenario: Scenario): Scenario {
  if (chance(0.5)) return scenario
  const { clients, workers, pipelines, calm } = scenario
  const near = Array.from({ length: clients }, (_, client) => ({ client, worker: below(workers.length) }))
  return {
    ...scenario,
    near: near.filter(() => chance(0.7)),
    pipelines: pipelines.map((pipeline) => {
      // Nobody draws an id twice; of what is gone the same submit would make something new, with the same name.
      const isDrawn = chance(0.5) && !pipeline.id.includes('/') && !isMortal(scenario, pipeline)
      return isDrawn ? firstSubmit(pipeline, { drawn: true }) : pipeline
    }),
    ...(!calm && chance(0.6) ? { echoMs: pick([50, 2_000, 30_000]) } : {}),
  }
}

/** The first one is able to do everything, so that whatever can be done is done in the end. */
function workerSpec({ below, chance, pick }: Random, isFirst: boolean): WorkerSpec {
  return {
    roles: isFirst ? ['owner', 'worker'] : pick([['owner', 'worker'], ['owner', 'worker'], ['owner'], ['worker']]),
    concurrency: pick([1, 2, 5, 20]),
    localLane: chance(0.8),
    queues: isFirst || chance(0.7) ? QUEUES : [QUEUES[below(2)]!],
    knows: isFirst || chance(0.8) ? ALL_TASKS : 1 + below(ALL_TASKS - 1),
  }
}

function pipelineSpec(random: Random, index: number, clients: number, waits: boolean): PipelineSpec {
  const { below, chance, pick } = random
  const prefix = `p${index + 1}`
  // What keys are made of may be part of an id.
  const id = index === 2 ? `${prefix}/1` : prefix
  const submit = (number: number, program: Program, more: Partial<SubmitSpec> = {}): SubmitSpec => ({
    client: below(clients),
    atMs: number === 0 ? below(500) : below(5_000),
    program,
    ...more,
  })
  const programFor = (letter: string): Program =>
    chance(0.02) ? [wideGroup(letter, 1 + below(1_500))] : programOf(random, `${prefix}${letter}`, waits)
  const first = programFor('a')
  const more = {
    ...(chance(0.15) ? { delayMs: pick([1, 900, 15_000]) } : {}),
    ...(chance(0.3) ? { retries: 1 + below(2) } : {}),
  }
  const submits = [submit(0, first, more)]
  while (chance(0.3) && submits.length < 4) {
    const number = submits.length
    submits.push(
      pick([
        () => submit(number, first),
        () => submit(number, first, { onDuplicate: 'reject' }),
        () => submit(number, programFor('bdf'[number - 1]!), { onDuplicate: 'restart' }),
        () => submit(number, first, { onDuplicate: 'restart' }),
        () => submit(number, programFor('ceg'[number - 1]!)),
      ])(),
    )
  }
  return { id, submits, ...(chance(0.1) ? { retentionMs: pick([1, 3_000, 60_000]) } : {}) }
}

/** Of one program, one task kills whatever process it runs in. */
function poisoned({ below }: Random, [first, ...others]: readonly PipelineSpec[]): readonly PipelineSpec[] {
  const { submits } = first!
  const { program } = submits[0]!
  const tasks = tasksOf(program)
  if (tasks.length === 0) return [first!, ...others]
  const { label } = tasks[below(tasks.length)]!
  const killing = killingIn(program, label)
  return [
    { ...first!, submits: submits.map((one) => (one.program === program ? { ...one, program: killing } : one)) },
    ...others,
  ]
}

/** What runs for each element would kill once for each: it stays as it is. */
function killingIn(program: Program, label: string): Program {
  return program.map((unit): Unit => {
    if (unit.kind === 'group') return { ...unit, chains: unit.chains.map((chain) => killingIn(chain, label)) }
    if (unit.kind !== 'task') return unit
    const { returns, heals: _, ...rest } = unit
    const inner = returns === undefined ? {} : { returns: killingIn(returns, label) }
    if (unit.label !== label) return { ...unit, ...inner }
    return { ...rest, ...inner, fails: 9, how: 'kills' } satisfies TaskUnit
  })
}

const EVENT_TIMES = [600, 5_000, 60_000]

/** One for each who waits, and some that nobody wants. They come at any time, and more than once. */
function eventsOf({ below, chance, pick }: Random, pipelines: readonly PipelineSpec[], clients: number): EventSpec[] {
  const events: EventSpec[] = []
  const add = (key: string, number: number, pipelineId: string | undefined): void => {
    events.push({
      client: below(clients),
      atMs: below(pick(EVENT_TIMES)),
      id: `event${events.length}`,
      key,
      number,
      ...(pipelineId === undefined ? {} : { pipelineId }),
      times: chance(0.6) ? 1 : 2 + below(2),
      everyMs: pick([0, 300, 8_000]),
    })
  }
  for (const { id, submits } of pipelines) {
    for (const program of new Set(submits.map((submit) => submit.program))) {
      for (const { key, own, match = 0, timeoutMs, raceMs } of waitsOf(program)) {
        // What is lost to a race at an address of its own is missed by nobody.
        if (timeoutMs !== undefined || (own && raceMs !== undefined && chance(0.2))) continue
        add(key, match, own ? id : undefined)
        if (match > 0 && chance(0.5)) add(key, 7, own ? id : undefined)
      }
    }
  }
  return events
}

/** Given at any time: while it runs, before it is there, when it is over. */
function commandsOf(
  { below, chance, pick }: Random,
  pipelines: readonly PipelineSpec[],
  clients: number,
  healAtMs: number,
): CommandSpec[] {
  const commands: CommandSpec[] = []
  const window = pick([600, 5_000, Math.max(5_000, healAtMs)])
  do {
    const command = pick<Command>(['pause', 'pause', 'pause', 'resume', 'resume', 'cancel', 'retry', 'retry', 'delete'])
    commands.push({
      client: below(clients),
      atMs: below(window),
      id: pick(pipelines).id,
      command,
      ...(command === 'cancel' ? { graceMs: pick([1, 800, 30_000]) } : {}),
    })
  } while (chance(0.75) && commands.length < 12)
  return commands
}

/** Of programs with listeners. */
const LISTENING = {
  failings: ['throws', 'throws for good', 'asks for time'],
  queues: [undefined, undefined, ...QUEUES],
  roles: true,
  sleeps: [1, 300],
  listens: [1, 50, 700, 20_000],
  each: true,
  state: true,
  variants: true,
  runs: 3,
} as const

function programOf(random: Random, prefix: string, waits: boolean): Program {
  return generateProgram(random.below, {
    prefix,
    size: random.pick([3, 8, 16]),
    durations: random.chance(0.7) ? CALM_DURATIONS : DURATIONS,
    failings: ['throws', 'throws', 'throws for good', 'asks for time', 'hangs'],
    queues: [undefined, undefined, undefined, ...QUEUES],
    roles: true,
    sleeps: [0, 1, 300, 20_000],
    ...(waits ? { waits: [0, 5, 700, 20_000] } : {}),
    each: true,
    state: true,
    pauses: random.chance(0.3),
    variants: true,
    runs: 3,
  })
}

/** Enough chains for several chunks, windows and commits. */
function wideGroup(prefix: string, size: number): Program[number] {
  return {
    kind: 'group',
    returnExceptions: false,
    chains: Array.from({ length: size }, (_, index) => [plainTask(`${prefix}w${index}`)]),
  }
}

function plainTask(label: string): TaskUnit {
  return { kind: 'task', label, open: false, gives: 'one', fails: 0, how: 'throws', policy: 'used', ms: 0 }
}

function lonerSpec(random: Random, index: number, clients: number): LonerSpec {
  const { below, chance, pick } = random
  for (;;) {
    const [unit] = generateProgram(below, {
      prefix: `l${index + 1}`,
      size: 1,
      durations: CALM_DURATIONS,
      failings: ['throws', 'throws for good', 'asks for time', 'hangs'],
      queues: [undefined, ...QUEUES],
    })
    if (unit?.kind !== 'task') continue
    return {
      client: below(clients),
      atMs: below(2_000),
      program: [{ ...unit, open: false }],
      ...(chance(0.25) ? { kept: true } : {}),
      ...(chance(0.15) ? { delayMs: pick([1, 900, 15_000]) } : {}),
    }
  }
}

/** Some kinds of faults, often or seldom: each seed has its own weather. */
function faultsOf({ chance, pick }: Random): Scenario['faults'] {
  const share = pick([0, 0.1, 0.4, 1])
  return Object.fromEntries(FAULTS.filter(() => chance(share)).map((kind) => [kind, pick([0.003, 0.02, 0.1])]))
}

function mishapsOf({ below, chance, pick }: Random, workers: number, clients: number, healAtMs: number): Mishap[] {
  const mishaps: Mishap[] = []
  const pass = (): number => below(pick([20, 100, 500]))
  const atMs = (): number => below(healAtMs)
  while (chance(0.65) && mishaps.length < 8) {
    const worker = below(workers)
    mishaps.push(
      pick<() => Mishap>([
        () => ({ kind: 'crash', worker, pass: pass() }),
        () => ({ kind: 'crash', worker, pass: pass() }),
        () => ({ kind: 'pause', worker, atMs: atMs(), forMs: pick([500, 3_000, 15_000, 60_000]) }),
        () => ({ kind: 'deploy', worker, atMs: atMs() }),
        () => ({ kind: 'jump', worker, atMs: atMs(), byMs: pick([-600_000, -5_000, 5_000, 3_600_000]) }),
        () => ({ kind: 'crash of a client', client: below(clients), pass: below(20) }),
        () => ({ kind: 'blackout', atMs: atMs() }),
      ])(),
    )
  }
  return mishaps
}
