import type { ConformanceCase } from '../case'
import type { Ability } from '../harness'
import { EngineStage, lanes, type Lane } from './engine-stage'

/** A case of whole pipelines; it is run once for each lane mode it is meant for. */
export interface EngineCase {
  readonly name: string
  readonly because: string
  readonly requires?: readonly Ability[]
  /** Default: all. */
  readonly lanes?: readonly Lane[]
  play(stage: EngineStage): Promise<void>
}

export function inEveryLane(cases: readonly EngineCase[]): readonly ConformanceCase[] {
  return cases.flatMap(({ name, because, requires, lanes: meant = lanes, play }) =>
    meant.map((lane): ConformanceCase => ({
      name: `${name} (lane: ${lane})`,
      promise: 'engine',
      lane,
      because,
      ...(requires === undefined ? {} : { requires }),
      async run(harness, namespace) {
        const stage = new EngineStage(harness, namespace, lane)
        try {
          await play(stage)
        } finally {
          await stage.end()
        }
      },
    })),
  )
}
