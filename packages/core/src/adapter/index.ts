// For authors of transports: what @tasks/core/adapter exports.
export type { Clock } from '../clock'
export { sleep, systemClock } from '../clock'
export { Lifetime } from './lifetime'
export { checkCommit, checkSends, refusal } from './limits'
export type { Heartbeat, LeaseStore, LeasedPartitionsOptions } from './leased-partitions'
export { leasedPartitions } from './leased-partitions'
export { TaskError } from '../errors'
