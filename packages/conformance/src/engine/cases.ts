import type { ConformanceCase } from '../case'
import { composition } from './composition'
import { control } from './control'
import { inEveryLane } from './engine-case'
import { events } from './events'
import { faults } from './faults'
import { handlers } from './handlers'
import { identity } from './identity'
import { loneTasks } from './lone-tasks'

/** Whole pipelines on the transport, with owners and workers as processes would have them. */
export const engineCases: readonly ConformanceCase[] = inEveryLane([
  ...composition,
  ...handlers,
  ...control,
  ...identity,
  ...loneTasks,
  ...events,
  ...faults,
])
