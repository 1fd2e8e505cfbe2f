import type { ConformanceCase } from '../case'
import { blobs } from './blobs'
import { broadcasts } from './broadcasts'
import { closing } from './closing'
import { commits } from './commits'
import { deadLetters } from './dead-letters'
import { events } from './events'
import { fencing } from './fencing'
import { inbox } from './inbox'
import { isolation } from './isolation'
import { limits } from './limits'
import { opening } from './opening'
import { outcomes } from './outcomes'
import { ownership } from './ownership'
import { recovery } from './recovery'
import { sends } from './sends'
import { sequence } from './sequence'
import { tasks } from './tasks'
import { subscriptions } from './subscriptions'
import { waits } from './waits'

/** Every promise of the SPI. */
export const transportCases: readonly ConformanceCase[] = [
  ...opening,
  ...isolation,
  ...commits,
  ...fencing,
  ...sequence,
  ...recovery,
  ...sends,
  ...inbox,
  ...tasks,
  ...limits,
  ...waits,
  ...outcomes,
  ...ownership,
  ...events,
  ...subscriptions,
  ...deadLetters,
  ...blobs,
  ...broadcasts,
  ...closing,
]
