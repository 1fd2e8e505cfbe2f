// What a runner has to do for one adapter: which cases, which of them not and why, and how one is run.
import type { ConformanceCase } from './case'
import { engineCases } from './engine/cases'
import type { TransportHarness } from './harness'
import { has } from './harness'
import { transportCases } from './transport/cases'

export interface SuiteOptions {
  /** By the name of the case: why this adapter is not held to it. A name that is no case's fails the suite. */
  readonly skip?: Readonly<Record<string, string>>
  /** How many times each case runs, at the same time, in namespaces of their own. Default: `TASKS_CONFORMANCE_STRESS`, or 1. */
  readonly stress?: number
  /** A folder to put `<adapter>.json` and the table `REPORT.md` of all adapters into. Default: `TASKS_CONFORMANCE_REPORT`, or none. */
  readonly report?: string
  /** Default: all of them. */
  readonly cases?: readonly ConformanceCase[]
}

export interface PlannedCase {
  readonly case: ConformanceCase
  /** Why it is not run. */
  readonly skip?: string
  /** Nothing else may run meanwhile. */
  readonly isAlone: boolean
  /** Rejects if the promise is broken. */
  run(): Promise<void>
}

export interface Plan {
  readonly cases: readonly PlannedCase[]
  /** Skips that name no case. */
  readonly unknownSkips: readonly string[]
  /** For one case, by all its runs. */
  readonly timeoutMs: number
}

/** Every case there is: of the SPI, and of the engine on it. */
export const conformanceCases: readonly ConformanceCase[] = [...transportCases, ...engineCases]

/** The same, each case of whole pipelines in one lane mode, the most mixed that it has: for those who cannot wait for three. */
export const quickCases: readonly ConformanceCase[] = [...transportCases, ...inOneLane(engineCases)]

function inOneLane(cases: readonly ConformanceCase[]): readonly ConformanceCase[] {
  const chosen = new Map<string, ConformanceCase>()
  // Local comes first, mixed last.
  for (const each of cases) chosen.set(each.name.replace(` (lane: ${each.lane})`, ''), each)
  return [...chosen.values()]
}

let namespaces = 0

export function planSuite(harness: TransportHarness, options: SuiteOptions = {}): Plan {
  const { skip = {}, cases = conformanceCases } = options
  const stress = options.stress ?? Math.max(1, Number(process.env['TASKS_CONFORMANCE_STRESS'] ?? 1))
  const names = new Set(cases.map(({ name }) => name))
  return {
    unknownSkips: Object.keys(skip).filter((name) => !names.has(name)),
    // Cases end by themselves when something does not happen: this is for a transport that hangs.
    timeoutMs: 30_000 + 6 * (harness.eventuallyMs ?? 5000) + stress * 1000,
    cases: cases.map((one) => {
      const reason = skip[one.name] ?? lacking(one, harness)
      const isAlone = one.requires?.includes('restartBroker') === true
      const run = async (): Promise<void> => {
        await Promise.all(Array.from({ length: isAlone ? 1 : stress }, () => runOnce(one, harness)))
      }
      return { case: one, isAlone, run, ...(reason !== undefined && { skip: reason }) }
    }),
  }
}

function lacking(one: ConformanceCase, harness: TransportHarness): string | undefined {
  const missing = one.requires?.filter((ability) => !has(harness, ability)) ?? []
  return missing.length === 0 ? undefined : `the harness has no ${missing.join(', ')}`
}

async function runOnce(one: ConformanceCase, harness: TransportHarness): Promise<void> {
  const namespace = namespaceFor()
  try {
    await one.run(harness, namespace)
  } finally {
    await harness.forget?.(namespace)
  }
}

/** Not used before, on this store or by another process that tests it. None is the beginning of another: a case may have more, which begin with its own. */
function namespaceFor(): string {
  const number = (namespaces++).toString(36).padStart(4, '0')
  return `c${process.pid.toString(36)}-${Date.now().toString(36)}-${number}`
}
