// What is answered, and to whom: the words that a handler of fetch and one of node:http have in common.
import type { IncomingMessage, ServerResponse } from 'node:http'

export type FetchHandler = (request: Request) => Promise<Response>

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Of a body. */
export const MAX_BYTES = 32_768

export function answer(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })
}

export const saysTooLong = (maxBytes: number): string => `the body has more than ${maxBytes} bytes`
