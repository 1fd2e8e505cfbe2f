// oxlint-disable-next-line typescript/triple-slash-reference -- packages that read this one from its source find the declarations by nothing else
/// <reference path="./kafkajs.d.ts" />
// Connections of kafkajs 2.2.4: its TCP, TLS and SASL. Its producer, consumer and admin sleep 300 ms where 1 would do.
import type { KafkaConfig } from 'kafkajs'
import Broker from 'kafkajs/src/broker/index.js'
import ConnectionPool from 'kafkajs/src/network/connectionPool.js'
import defaultSocketFactory from 'kafkajs/src/network/socketFactory.js'
import type { Listener } from '../clients'
import type { Address, Connection } from '../protocol/connection'

const CONNECT_MS = 3_000

export async function connectByKafkajs(
  config: KafkaConfig,
  onLog: Listener,
  { host, port }: Address,
  signal: AbortSignal,
): Promise<Connection> {
  const logger = loggerFor(onLog)
  const connectionPool = new ConnectionPool({
    connectionTimeout: CONNECT_MS,
    socketFactory: defaultSocketFactory(),
    ...config,
    host,
    port,
    logger,
    // Whoever calls has a time for it, and ends the connection then.
    enforceRequestTimeout: false,
    maxInFlightRequests: null,
  })
  for (const { requestQueue } of connectionPool.pool) calm(requestQueue)
  const broker = new Broker({
    connectionPool,
    logger,
    ...(config.authenticationTimeout !== undefined && { authenticationTimeout: config.authenticationTimeout }),
  })
  signal.addEventListener('abort', () => destroy(broker), { once: true })
  await broker.connect()
  const asItIs = (payload: Buffer): Promise<Buffer> => Promise.resolve(payload)
  const response = { decode: asItIs, parse: asItIs }
  return {
    send({ key: apiKey, version: apiVersion, name: apiName }, body) {
      const encode = (): Promise<{ buf: Buffer; buffer: Buffer }> => Promise.resolve({ buf: body, buffer: body })
      const request = { apiKey, apiVersion, apiName, encode }
      return broker.connectionPool.pool[0]!.send({ request, response, logResponseError: false })
    },
    destroy: () => destroy(broker),
  }
}

function destroy(broker: Broker): void {
  for (const connection of broker.connectionPool.pool) {
    connection.rejectRequests(new Error('the connection was cut'))
    connection.requestQueue.destroy()
    connection.socket?.destroy()
    // It knows nothing of that.
    void connection.disconnect()
  }
}

/** Left alone, kafkajs' queue sets a timer of a negative time each time it looks at it, from the first answer on: a core of which a hundredth is always busy, and a warning of Node 24. */
function calm(queue: Broker['connectionPool']['pool'][number]['requestQueue']): void {
  const schedule = queue.scheduleCheckPendingRequests.bind(queue)
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule()
  }
}

function loggerFor(onLog: Listener): unknown {
  const silent = (): void => {}
  const logger = {
    namespace: () => logger,
    debug: silent,
    info: silent,
    warn: (message: string, details = {}) => onLog('warn', message, details),
    error: (message: string, details = {}) => onLog('error', message, details),
  }
  return logger
}
