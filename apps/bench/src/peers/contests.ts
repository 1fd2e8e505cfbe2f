import type { Contest } from './contest'
import { chain } from './contests/chain'
import { fanOut, fanOutElsewhere } from './contests/fan-out'
import { loneTasks } from './contests/lone-tasks'
import { oneAtATime } from './contests/one-at-a-time'
import { payloads } from './contests/payloads'
import { pipelines } from './contests/pipelines'
import { processes } from './contests/processes'

/** In the order in which they run. */
export const contests: readonly Contest[] = [
  loneTasks,
  fanOut,
  fanOutElsewhere,
  oneAtATime,
  chain,
  pipelines,
  processes,
  payloads,
]
