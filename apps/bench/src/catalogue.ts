import type { Workload } from './workload'
import { chain } from './workloads/chain'
import { fanOut } from './workloads/fan-out'
import { fanOutLarge } from './workloads/fan-out-large'
import { loneTasks } from './workloads/lone-tasks'
import { manyPipelines } from './workloads/many-pipelines'

/** In the order in which they run. */
export const workloads: readonly Workload[] = [loneTasks, fanOut, fanOutLarge, chain, manyPipelines]
