import type { Workload } from './workload'
import { besideFanOut } from './workloads/beside-fan-out'
import { bulkEnqueue } from './workloads/bulk-enqueue'
import { chain } from './workloads/chain'
import { eventLevels } from './workloads/event-levels'
import { eventWaiters } from './workloads/event-waiters'
import { fanOut } from './workloads/fan-out'
import { fanOutBounded } from './workloads/fan-out-bounded'
import { fanOutLarge } from './workloads/fan-out-large'
import { loneTasks } from './workloads/lone-tasks'
import { manyPipelines } from './workloads/many-pipelines'
import { memoryGrowth } from './workloads/memory-growth'
import { recursion } from './workloads/recursion'
import { sleepingPipelines } from './workloads/sleeping-pipelines'
import { submitToResult } from './workloads/submit-to-result'
import { takeOver } from './workloads/take-over'
import { waitingPipelines } from './workloads/waiting-pipelines'

/** In the order in which they run. */
export const workloads: readonly Workload[] = [
  bulkEnqueue,
  loneTasks,
  fanOut,
  fanOutLarge,
  fanOutBounded,
  chain,
  recursion,
  manyPipelines,
  submitToResult,
  takeOver,
  waitingPipelines,
  sleepingPipelines,
  eventWaiters,
  eventLevels,
  memoryGrowth,
  besideFanOut,
]
