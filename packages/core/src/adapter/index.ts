// For authors of transports: what @tasks/core/adapter exports.
export type { Clock } from '../clock'
export { sleep, systemClock } from '../clock'
export type { Heartbeat, LeaseStore, LeasedPartitionsOptions } from './leased-partitions'
export { leasedPartitions } from './leased-partitions'
export { TaskError } from '../errors'
