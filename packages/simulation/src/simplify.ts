// From a scenario that fails to the simplest that is found to fail in the same way: fewer faults, fewer submits, smaller programs, fewer processes.
import { simplerPrograms, waitsOf, type Program } from '@tasks/oracle'
import { check } from './check'
import { simulate } from './cluster'
import type { Recording } from './recording'
import type { Scenario } from './scenario'

export interface Failure {
  readonly recording: Recording
  readonly broken: readonly string[]
  /** The faults that it takes. */
  readonly faults: readonly string[]
}

const MOST_TRIES = 600

export async function simplify(failure: Failure): Promise<Failure> {
  return new Search(failure).run()
}

/** What kind of failure it is: the invariant, or how the sentence begins. */
const kindOf = ([first = '']: readonly string[]): string => /^[A-Z]\d+/.exec(first)?.[0] ?? first.slice(0, 12)

class Search {
  #best: Failure
  readonly #kind: string
  #tries = 0

  constructor(failure: Failure) {
    this.#best = failure
    this.#kind = kindOf(failure.broken)
  }

  async run(): Promise<Failure> {
    for (let again = true; again;) {
      again = (await this.#withoutFaults()) || (await this.#simplerScenario())
      if (this.#tries >= MOST_TRIES) break
    }
    return this.#best
  }

  /** Leaves out as many faults as can be: all, halves, quarters, single ones. */
  async #withoutFaults(): Promise<boolean> {
    let better = false
    for (let size = this.#best.faults.length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < this.#best.faults.length;) {
        const { faults, recording } = this.#best
        const left = [...faults.slice(0, from), ...faults.slice(from + size)]
        if (await this.#try(recording.scenario, left)) better = true
        else from += size
      }
    }
    return better
  }

  async #simplerScenario(): Promise<boolean> {
    let better = false
    for (let found = true; found && this.#tries < MOST_TRIES;) {
      found = false
      for (const scenario of simplerScenarios(this.#best.recording.scenario)) {
        if (!(await this.#try(scenario, this.#best.faults))) continue
        found = better = true
        break
      }
    }
    return better
  }

  async #try(scenario: Scenario, faults: readonly string[]): Promise<boolean> {
    if (this.#tries++ >= MOST_TRIES) return false
    const failure = await play(scenario, new Set(faults))
    if (failure === undefined || kindOf(failure.broken) !== this.#kind) return false
    this.#best = failure
    return true
  }
}

/** Undefined if all is well. */
export async function play(scenario: Scenario, only?: ReadonlySet<string>): Promise<Failure | undefined> {
  const recording = await simulate(scenario, only)
  const broken = check(recording)
  return broken.length === 0 ? undefined : { recording, broken, faults: recording.faults.struck }
}

function* simplerScenarios(scenario: Scenario): Generator<Scenario> {
  const { pipelines, loners, commands = [], events = [], mishaps, workers, clients, near = [] } = scenario
  for (const list of without(loners)) yield { ...scenario, loners: list }
  for (const list of without(pipelines)) {
    const ids = new Set(list.map(({ id }) => id))
    yield { ...scenario, pipelines: list, commands: commands.filter(({ id }) => ids.has(id)) }
  }
  for (const list of halved(commands)) yield { ...scenario, commands: list }
  for (const list of without(commands)) yield { ...scenario, commands: list }
  // Those that somebody waits for have to come.
  const programs = pipelines.flatMap(({ submits }) => submits.map(({ program }) => program))
  const awaited = new Set(programs.flatMap(waitsOf).map(({ key, match = 0 }) => `${key} ${match}`))
  const needed = events.filter(({ key, number }) => awaited.has(`${key} ${number}`))
  if (needed.length < events.length) yield { ...scenario, events: needed }
  if (events.some(({ times }) => times > 1))
    yield { ...scenario, events: events.map((event) => ({ ...event, times: 1 })) }
  if (scenario.subscription !== undefined) yield withoutSubscription(scenario)
  if (scenario.workerEvents !== undefined) yield withoutWorkerEvents(scenario)
  if (scenario.level !== 'none' && scenario.subscription === undefined) yield { ...scenario, level: 'none' }
  for (const list of without(near)) yield { ...scenario, near: list }
  if (scenario.echoMs !== undefined) yield withoutEcho(scenario)
  for (const list of without(mishaps)) yield { ...scenario, mishaps: list }
  if (workers.length > 1) {
    const left = workers.length - 1
    const kept = mishaps.filter((mishap) => !('worker' in mishap) || mishap.worker < left)
    yield {
      ...scenario,
      workers: workers.slice(0, left),
      near: near.filter(({ worker }) => worker < left),
      mishaps: kept,
    }
  }
  if (clients > 1) {
    yield {
      ...scenario,
      clients: 1,
      near: near.filter(({ client }) => client === 0),
      pipelines: pipelines.map((pipeline) => ({
        ...pipeline,
        submits: pipeline.submits.map((submit) => ({ ...submit, client: 0 })),
      })),
      loners: loners.map((loner) => ({ ...loner, client: 0 })),
      commands: commands.map((command) => ({ ...command, client: 0 })),
      events: events.map((event) => ({ ...event, client: 0 })),
      mishaps: mishaps.filter(({ kind }) => kind !== 'crash of a client'),
    }
  }
  if (scenario.partitions > 1) yield { ...scenario, partitions: 1 }
  for (const [at, pipeline] of pipelines.entries()) {
    const { retentionMs, ...lasting } = pipeline
    if (retentionMs !== undefined)
      yield { ...scenario, pipelines: pipelines.map((one, index) => (index === at ? lasting : one)) }
    const replaced = (submits: typeof pipeline.submits): Scenario => ({
      ...scenario,
      pipelines: pipelines.map((one, index) => (index === at ? { ...pipeline, submits } : one)),
    })
    for (const submits of without(pipeline.submits)) if (submits.length > 0) yield replaced(submits)
    for (const submit of pipeline.submits) {
      const { delayMs, retries, drawn, again, ...plain } = submit
      const other = pipeline.submits.filter((one) => one !== submit)
      if (delayMs !== undefined || retries !== undefined || drawn || again) yield replaced([plain, ...other])
    }
    // Submits of the same program go on having the same one.
    for (const program of new Set(pipeline.submits.map((submit) => submit.program))) {
      const withProgram = (simpler: Program): Scenario =>
        replaced(
          pipeline.submits.map((submit) => (submit.program === program ? { ...submit, program: simpler } : submit)),
        )
      for (const simpler of simplerPrograms(program)) yield withProgram(simpler)
    }
  }
}

function withoutEcho({ echoMs: _, ...silent }: Scenario): Scenario {
  return silent
}

function withoutSubscription({ subscription: _, ...alone }: Scenario): Scenario {
  return { ...alone, mishaps: alone.mishaps.filter((mishap) => !('member' in mishap)) }
}

function withoutWorkerEvents({ workerEvents: _, ...silent }: Scenario): Scenario {
  return silent
}

function* halved<T>(list: readonly T[]): Generator<readonly T[]> {
  const half = list.length >> 1
  if (half > 1) yield* [list.slice(0, half), list.slice(half)]
}

function* without<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at++) yield [...list.slice(0, at), ...list.slice(at + 1)]
}
