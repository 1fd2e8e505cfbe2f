export type { Place } from './place'
export type { HarmName, Round, SoakOptions } from './rounds'
export { PIPELINES, soak } from './rounds'
export { takeOver } from './take-over'
