// Events that come by HTTP: POST /events/{pipeline}/{key}. The answer is 200 when the event is durable, and never before; sent again under one idempotency key it
// counts once, so that a sender may repeat whatever had no answer.
import { TaskError, type Client, type Logger, type SendEventOptions, type TaskErrorCode } from '@tasks/core'
import { answer, MAX_BYTES, saysTooLong, type FetchHandler, type NodeHandler } from './answer'
import type { Check } from './checks'
import { nodeHandler } from './node-handler'

export interface HttpEventsOptions {
  readonly client: Pick<Client, 'sendEvent' | 'status'>
  /** Who may send: `bearerSecret(…)`, `hmacSignature(…)`, `standardWebhook(…)`, a function of your own, or, where something in front of it has looked, `'open'`. */
  readonly check: Check | 'open'
  /** Whether an event for a pipeline that does not exist is refused, with 404. Default false: it is kept for the pipeline. */
  readonly strict?: boolean
  /** What the path begins with. Default `/events`. */
  readonly path?: string
  /** Of the body. Default 32,768: an event can hardly be longer. */
  readonly maxBytes?: number
  /** How long an event is kept that comes before its pipeline waits for it, and how long its id is remembered, in ms. Default 7 days. */
  readonly keepMs?: number
  readonly logger?: Pick<Logger, 'error'>
}

export interface HttpEvents {
  /** For whoever speaks fetch: Hono, a route handler, a test. */
  readonly fetch: FetchHandler
  /** For `node:http`, Express and Fastify. The body must not have been read: come before body parsers. */
  readonly node: NodeHandler
}

const OPTIONS = ['client', 'check', 'strict', 'path', 'maxBytes', 'keepMs', 'logger']
const PAUSES_MS = [10, 40, 200]

/** What is wrong with a request, as it is answered. */
class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

const STATUSES: ReadonlyMap<string, number> = new Map<TaskErrorCode, number>([
  ['TASKS_ID_INVALID', 400],
  ['TASKS_UNENCODABLE', 400],
  ['TASKS_VALUE_TOO_LARGE', 413],
  ['TASKS_TOO_LARGE', 413],
  ['TASKS_UNAVAILABLE', 503],
])

/** @throws TaskError TASKS_OPTIONS, also if it is not said who may send */
export function httpEvents(options: HttpEventsOptions): HttpEvents {
  const { client, check, strict = false, path = '/events', maxBytes = MAX_BYTES, keepMs, logger } = checked(options)
  const prefix = path.replace(/\/*$/, '/')

  const receive = async (request: Request): Promise<Response> => {
    const [pipelineId, key] = addressOf(new URL(request.url).pathname, prefix)
    if (request.method !== 'POST') throw new Refusal(405, 'events are sent by POST', { allow: 'POST' })
    if (Number(request.headers.get('content-length')) > maxBytes) throw tooLarge(maxBytes)
    let bytes: Promise<Uint8Array> | undefined
    const body = (): Promise<Uint8Array> => (bytes ??= bodyOf(request, maxBytes))
    if (check !== 'open' && !(await check(request, body)))
      throw new Refusal(401, 'who sends this is not known', { 'www-authenticate': 'Bearer' })
    const value = valueOf(await body())
    // After the check: nobody else is told which pipelines there are.
    if (strict && !(await isThere(client, pipelineId)))
      throw new Refusal(404, `there is no pipeline ${JSON.stringify(pipelineId)}`)
    const event: SendEventOptions = {
      key,
      pipelineId,
      value,
      ...idOf(request.headers),
      ...(keepMs === undefined ? {} : { keepMs }),
    }
    return answer(200, { id: await client.sendEvent(event) })
  }

  const fetch: FetchHandler = async (request) => {
    try {
      return await receive(request)
    } catch (error) {
      if (error instanceof Refusal) return answer(error.status, { error: error.message }, error.headers)
      const status = TaskError.is(error) ? STATUSES.get(error.code) : undefined
      if (status === undefined) logger?.error({ error }, 'an event could not be sent')
      // What went wrong within is nobody's business outside.
      if (status === undefined) return answer(500, { error: 'the event could not be sent' })
      if (status === 503)
        return answer(503, { error: 'nobody knows whether it was kept: send it again' }, { 'retry-after': '1' })
      return answer(status, { error: (error as TaskError).message })
    }
  }

  return { fetch, node: nodeHandler(fetch, { maxBytes }) }
}

function checked(options: HttpEventsOptions): HttpEventsOptions {
  const refused = (message: string): TaskError => new TaskError('TASKS_OPTIONS', `httpEvents: ${message}`)
  if (typeof options !== 'object' || options === null) throw refused('options are needed, like { client, check }')
  for (const name of Object.keys(options))
    if (!OPTIONS.includes(name)) throw refused(`there is no option "${name}"; known: ${OPTIONS.join(', ')}`)
  const { client, check, path = '/', maxBytes = MAX_BYTES } = options
  if (typeof client?.sendEvent !== 'function') throw refused('a client is needed')
  if (check !== 'open' && typeof check !== 'function')
    throw refused(
      "say who may send: check: bearerSecret(…), hmacSignature(…), standardWebhook(…), or 'open' for everybody",
    )
  if (typeof path !== 'string' || !path.startsWith('/')) throw refused('path must begin with "/"')
  if (!Number.isInteger(maxBytes) || maxBytes < 1)
    throw refused(`maxBytes must be an integer of at least 1, not ${maxBytes}`)
  return options
}

function addressOf(path: string, prefix: string): [pipelineId: string, key: string] {
  const parts = path.startsWith(prefix) ? path.slice(prefix.length).split('/') : []
  if (parts.length !== 2 || parts.includes('')) throw new Refusal(404, `events are sent to ${prefix}{pipeline}/{key}`)
  try {
    return parts.map(decodeURIComponent) as [string, string]
  } catch {
    throw new Refusal(400, 'the path is badly escaped')
  }
}

/** Asked more than once: what has just been submitted is on its way to its owner. */
async function isThere(client: Pick<Client, 'status'>, pipelineId: string): Promise<boolean> {
  for (const pauseMs of [...PAUSES_MS, undefined]) {
    if ((await client.status(pipelineId)) !== undefined) return true
    if (pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  return false
}

/** The sender's name for it: signed with a standard webhook, else what a client says. */
function idOf(headers: Headers): { readonly id?: string } {
  const id = headers.get('webhook-id') ?? headers.get('idempotency-key')?.replace(/^"(.*)"$/, '$1')
  return id ? { id } : {}
}

/** No body is an event without a value. */
function valueOf(body: Uint8Array): unknown {
  if (body.length === 0) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw new Refusal(400, 'the body is not JSON')
  }
}

async function bodyOf({ body }: Request, maxBytes: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array(0)
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Not cancelled when it is too long: some servers then close the connection, and nobody hears why.
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    bytes += next.value.length
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    chunks.push(next.value)
  }
  return Buffer.concat(chunks)
}

const tooLarge = (maxBytes: number): Refusal => new Refusal(413, saysTooLong(maxBytes))
