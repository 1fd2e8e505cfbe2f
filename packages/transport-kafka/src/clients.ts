// The libraries that make the connections. Each is loaded when it is used first: the other need not be installed.
import type { KafkaConfig } from 'kafkajs'
import type { Client } from './protocol/driver'

/** What a library says; the transport decides who hears it. */
export type Listener = (level: 'warn' | 'error', message: string, details: Readonly<Record<string, unknown>>) => void

/** Options of `@platformatic/kafka`. */
export interface PlatformaticOptions {
  readonly clientId?: string
  readonly bootstrapBrokers: readonly (string | { readonly host: string; readonly port: number })[]
  /** `tls`, `sasl` and whatever else its connections know. */
  readonly [option: string]: unknown
}

export function kafkajsClient(config: KafkaConfig, onLog: Listener): Client {
  const { brokers } = config
  return {
    brokers: async () => (typeof brokers === 'function' ? brokers() : brokers),
    async connect(address, signal) {
      const { connectByKafkajs } = await import('./kafkajs/connection')
      return connectByKafkajs(config, onLog, address, signal)
    },
  }
}

export function platformaticClient(options: PlatformaticOptions): Client {
  const brokers = options.bootstrapBrokers.map((each) =>
    typeof each === 'string' ? each : `${each.host}:${each.port}`,
  )
  return {
    brokers: () => Promise.resolve(brokers),
    async connect(address, signal) {
      const { connectByPlatformatic } = await import('./platformatic/connection')
      return connectByPlatformatic(options, address, signal)
    },
  }
}
