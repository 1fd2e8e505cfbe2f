// Connections of @platformatic/kafka: its TCP, TLS and SASL. Its requests, retries and pools are not used.
import { Connection as PlatformaticConnection, Writer } from '@platformatic/kafka'
import type { PlatformaticOptions } from '../clients'
import type { Address, Connection } from '../protocol/connection'

/** Whoever calls has a time for it, and ends the connection then. */
const NEVER_MS = 2 ** 31 - 1
const CONNECT_MS = 3_000
const MOST_UNDER_WAY = 10_000

export async function connectByPlatformatic(
  { clientId = 'tasks', bootstrapBrokers: _, ...options }: PlatformaticOptions,
  { host, port }: Address,
  signal: AbortSignal,
): Promise<Connection> {
  const connection = new PlatformaticConnection(clientId, {
    connectTimeout: CONNECT_MS,
    ...options,
    requestTimeout: NEVER_MS,
    maxInflights: MOST_UNDER_WAY,
  })
  // Whoever waits for an answer is told.
  connection.on('error', () => {})
  signal.addEventListener('abort', () => destroy(connection), { once: true })
  await connection.connect(host, port)
  return {
    send: ({ key, version }, body) =>
      new Promise((resolve, reject) => {
        connection.send<Buffer>(
          key,
          version,
          () => Writer.create().append(body),
          (_key, _version, _correlation, reader) => reader.buffer.slice(),
          false,
          false,
          (error, payload) => (error === null ? resolve(payload!) : reject(error)),
        )
      }),
    destroy: () => destroy(connection),
  }
}

function destroy(connection: PlatformaticConnection): void {
  connection.socket?.destroy()
  // It stops asking who is there.
  connection.close().catch(() => {})
}
