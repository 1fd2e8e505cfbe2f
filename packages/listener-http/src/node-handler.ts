// A handler of fetch where requests are those of node:http: in a plain server, in Express, in Fastify.
import type { IncomingMessage } from 'node:http'
import { stderrLogger, type Logger } from '@tasks/core'
import { answer, MAX_BYTES, saysTooLong, type FetchHandler, type NodeHandler } from './answer'

export interface NodeHandlerOptions {
  /** Of the body. One that is longer is answered with 413. Default 32,768. */
  readonly maxBytes?: number
  /** Is told what `handle` throws, which is answered with 500. Default: stderr. */
  readonly logger?: Pick<Logger, 'error'>
}

/** The body must not have been read: come before body parsers. */
export function nodeHandler(handle: FetchHandler, options: NodeHandlerOptions = {}): NodeHandler {
  const { maxBytes = MAX_BYTES, logger = stderrLogger() } = options
  const respond = async (incoming: IncomingMessage): Promise<Response> => {
    const body = await bodyOf(incoming, maxBytes)
    if (body === 'read') return answer(500, { error: 'the body was read before: mount this before body parsers' })
    if (body === 'long') return answer(413, { error: saysTooLong(maxBytes) })
    const request = requestOf(incoming, body)
    if (request === undefined) return answer(400, { error: 'fetch has no words for this request' })
    try {
      return await handle(request)
    } catch (error) {
      logger.error({ error }, 'a request could not be handled')
      return answer(500, { error: 'it could not be handled' })
    }
  }
  return (incoming, outgoing) => {
    respond(incoming).then(
      async (response) => {
        outgoing.writeHead(response.status, Object.fromEntries(response.headers))
        outgoing.end(await response.text())
      },
      // The sender has gone.
      () => outgoing.destroy(),
    )
  }
}

/** The body, unless it is longer than that, or somebody has read it. What is too long is read to its end and dropped: else its sender never hears the answer. */
function bodyOf(incoming: IncomingMessage, maxBytes: number): Promise<Buffer | 'long' | 'read'> {
  if (incoming.readableDidRead) return Promise.resolve('read')
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let bytes = 0
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) chunks.push(chunk)
      else {
        chunks = []
        resolve('long')
      }
    })
    incoming.once('end', () => resolve(Buffer.concat(chunks)))
    incoming.once('error', reject)
    incoming.once('close', () => reject(new Error('the sender has gone')))
  })
}

/** Undefined for what fetch has no words for: another method, an odd path. */
function requestOf(incoming: IncomingMessage, body: Buffer): Request | undefined {
  const headers = new Headers()
  for (let i = 0; i < incoming.rawHeaders.length; i += 2)
    headers.append(incoming.rawHeaders[i]!, incoming.rawHeaders[i + 1]!)
  const { method = 'GET' } = incoming
  // Express cuts off what it was mounted at.
  const path = (incoming as { readonly originalUrl?: string }).originalUrl ?? incoming.url ?? '/'
  const hasBody = method !== 'GET' && method !== 'HEAD' && body.length > 0
  try {
    return new Request(new URL(path, 'http://localhost'), { method, headers, ...(hasBody && { body }) })
  } catch {
    return undefined
  }
}
