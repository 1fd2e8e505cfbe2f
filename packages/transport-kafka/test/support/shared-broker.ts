// One broker for all files of the suite that are content with one: it takes seconds to start. Vitest runs this once before the suite.
import type { Server } from '@tasks/dev-config/brokers'
import { serverOrReason, startKafka } from '@tasks/dev-config/brokers'
import type { TestProject } from 'vitest/node'

/** What tests need of a broker that they leave alone. */
export type Broker = Pick<Server, 'url' | 'port' | 'version'>

declare module 'vitest' {
  export interface ProvidedContext {
    /** Or why there is none on this machine. */
    readonly broker: Broker | string
  }
}

let server: Server | string = 'it was not started'

export async function setup({ provide }: TestProject): Promise<void> {
  server = await serverOrReason(() => startKafka({ brief: true }))
  if (typeof server === 'string') return provide('broker', server)
  const { url, port, version } = server
  provide('broker', { url, port, version })
}

export async function teardown(): Promise<void> {
  if (typeof server !== 'string') await server.stop()
}
