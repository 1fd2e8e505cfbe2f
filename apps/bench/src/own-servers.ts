// A broker that is named without a place, `nats:` or `nats:2.12.1`, is started for this run, and stopped with it.
import { startKafka, startNats, startRedis } from '@tasks/dev-config/brokers'

interface Server {
  readonly url: string
  stop(): Promise<void>
}

const START: Readonly<Record<string, (version: string | undefined) => Promise<Server>>> = {
  kafka: (version) => startKafka(version === undefined ? {} : { version }),
  nats: (version) => startNats(version === undefined ? {} : { version }),
  redis: () => startRedis(),
}

export interface OwnServers {
  /** Where a transport is. */
  readonly urlOf: (transport: string) => string
  stop(): Promise<void>
}

export async function startOwnServers(transports: readonly string[]): Promise<OwnServers> {
  const started = new Map<string, Server>()
  const stop = async (): Promise<void> => {
    await Promise.all([...started.values()].map((server) => server.stop()))
  }
  try {
    for (const transport of new Set(transports)) {
      const [, name = '', version] = /^(kafka|nats|redis):(\d[\d.]*)?$/.exec(transport) ?? []
      const start = START[name]
      if (start !== undefined) started.set(transport, await start(version))
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { urlOf: (transport) => started.get(transport)?.url ?? transport, stop }
}
