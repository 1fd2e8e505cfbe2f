import type { Contender, ContenderName, ContenderOptions } from './contender'

// Loaded in the processes that use them only.
const CONTENDERS: Readonly<Record<ContenderName, (options: ContenderOptions) => Promise<Contender>>> = {
  ours: async (options) => (await import('./contenders/ours')).makeOurs(options),
  bullmq: async (options) => (await import('./contenders/bullmq')).makeBullmq(options),
  'bee-queue': async (options) => (await import('./contenders/bee-queue')).makeBeeQueue(options),
}

export const contenderNames = Object.keys(CONTENDERS) as readonly ContenderName[]

export function makeContender(name: ContenderName, options: ContenderOptions): Promise<Contender> {
  return CONTENDERS[name](options)
}
