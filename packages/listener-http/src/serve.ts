import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { httpEvents, type HttpEventsOptions } from './http-events'

export interface ServeOptions extends HttpEventsOptions {
  /** Default 0: any that is free. */
  readonly port?: number
  /** Default `127.0.0.1`: this machine alone. */
  readonly host?: string
}

export interface EventServer {
  readonly url: string
  /** Takes no more; resolves when what it has taken is answered. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const REQUEST_MS = 30_000

/**
 * A server for nothing else.
 * @throws TaskError TASKS_OPTIONS; whatever `listen` says: the port is taken
 */
export async function serveEvents({ port = 0, host = '127.0.0.1', ...options }: ServeOptions): Promise<EventServer> {
  const server = createServer({ requestTimeout: REQUEST_MS }, httpEvents(options).node)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port: taken } = server.address() as AddressInfo
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeIdleConnections()
    }))
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`, close, [Symbol.asyncDispose]: close }
}
