import { TaskError } from '@tasks/core/adapter'
import type { KafkaConfig } from 'kafkajs'
import type { Durability } from './durability'
import { parseDurability } from './durability'

export interface Location {
  readonly client: KafkaConfig
  readonly prefix?: string
  readonly replicas?: number
  readonly durability?: Durability
}

const DEFAULT_PORT = '9092'

/** Reads `kafka://user:password@host-1:9092,host-2:9092?prefix=shop&ssl=true&sasl=scram-sha-512&replicas=3`. */
export function parseUrl(url: string): Location {
  const refuse = (why: string): TaskError =>
    new TaskError(
      'TASKS_OPTIONS',
      `the Kafka URL is not usable: ${why}; write kafka://host:9092, or kafka://user:password@host-1:9092,host-2:9092?ssl=true&sasl=scram-sha-512`,
    )
  const [, credentials, hosts = '', path = '', query = ''] =
    /^kafka:\/\/(?:([^@/?]*)@)?([^/?]*)(\/[^?]*)?(?:\?(.*))?$/i.exec(url) ?? []
  if (hosts === '') throw refuse('it names no broker')
  if (path !== '' && path !== '/') throw refuse(`"${path}" means nothing there`)
  const brokers = hosts.split(',').map((host) => {
    const [, name, port = DEFAULT_PORT] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(host) ?? []
    if (name === undefined) throw refuse(`"${host}" is no host and port`)
    return `${name}:${port}`
  })
  let [prefix, replicas, durability, ssl, mechanism]: [string?, number?, Durability?, boolean?, string?] = []
  for (const [name, value] of new URLSearchParams(query)) {
    switch (name) {
      case 'prefix':
        if (value === '') throw refuse('its prefix is empty')
        prefix = value
        break
      case 'replicas':
        replicas = Number(value)
        if (!Number.isInteger(replicas) || replicas < 1) throw refuse(`replicas is a whole number, not "${value}"`)
        break
      case 'durability':
        durability = parseDurability(value)
        break
      case 'ssl':
        if (value !== 'true' && value !== 'false') throw refuse(`ssl is true or false, not "${value}"`)
        ssl = value === 'true'
        break
      case 'sasl':
        if (!['plain', 'scram-sha-256', 'scram-sha-512'].includes(value))
          throw refuse(`sasl is plain, scram-sha-256 or scram-sha-512, not "${value}"`)
        mechanism = value
        break
      default:
        throw refuse(
          `there is no option "${name}"; known are prefix, replicas, durability, ssl and sasl. Others go with kafkaTransport({ connection })`,
        )
    }
  }
  const [username, ...password] = credentials === undefined ? [] : credentials.split(':').map(decodeURIComponent)
  const sasl =
    username === undefined
      ? undefined
      : ({ mechanism: mechanism ?? 'plain', username, password: password.join(':') } as KafkaConfig['sasl'])
  return {
    client: { brokers, ...(ssl !== undefined && { ssl }), ...(sasl !== undefined && { sasl }) },
    ...(prefix !== undefined && { prefix }),
    ...(replicas !== undefined && { replicas }),
    ...(durability !== undefined && { durability }),
  }
}
