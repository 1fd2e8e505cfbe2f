export type { ExitCode } from './exit-codes'
export { exitCodes } from './exit-codes'
export { run } from './program'
