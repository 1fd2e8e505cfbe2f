export type { Crontab, CrontabOptions } from './crontab'
export { crontab } from './crontab'
export type { CronOptions, Timers, TimersOptions } from './timers'
export { bindTimers } from './timers'
