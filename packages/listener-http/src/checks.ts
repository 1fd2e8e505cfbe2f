// Who may send events. A check sees the request and, if it asks for it, the body; secrets are compared in a time that does not tell how much of one was right.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { TaskError } from '@tasks/core'

/** Whether this request may send an event. `body` reads it, once, up to the limit. */
export type Check = (request: Request, body: () => Promise<Uint8Array>) => boolean | Promise<boolean>

export interface HmacOptions {
  /** More than one while a secret is being replaced. */
  readonly secret: string | readonly string[]
  /** Where the signature is. Default `x-hub-signature-256`, as GitHub has it. */
  readonly header?: string
  /** What stands before it. Default `sha256=`. */
  readonly prefix?: string
  /** Default `hex`. */
  readonly encoding?: 'hex' | 'base64'
}

export interface WebhookOptions {
  /** As `whsec_…`, or the bytes in base64: at least 16 of them. More than one while a secret is being replaced. */
  readonly secret: string | readonly string[]
  /** How far its time may be from now, in ms. Default five minutes. */
  readonly toleranceMs?: number
}

const TOLERANCE_MS = 300_000
const LEAST_BYTES = 16

/**
 * `Authorization: Bearer <secret>`.
 * @throws TaskError TASKS_OPTIONS without a secret
 */
export function bearerSecret(secret: string | readonly string[]): Check {
  const known = secretsOf('bearerSecret', secret)
  return ({ headers }) => {
    const [, given] = /^Bearer +(.+)$/i.exec(headers.get('authorization') ?? '') ?? []
    return given !== undefined && known.map((one) => isEqual(one, given)).includes(true)
  }
}

/**
 * A signature of the body by HMAC-SHA256, in a header. It says nothing of the path, nor of the time: whoever has heard a request can send it again, elsewhere too.
 * @throws TaskError TASKS_OPTIONS without a secret
 */
export function hmacSignature(options: HmacOptions): Check {
  const { header = 'x-hub-signature-256', prefix = 'sha256=', encoding = 'hex' } = options
  const known = secretsOf('hmacSignature', options.secret)
  return async ({ headers }, body) => {
    const given = headers.get(header)
    if (given === null) return false
    const bytes = await body()
    const expected = known.map((secret) => prefix + createHmac('sha256', secret).update(bytes).digest(encoding))
    return expected.map((one) => isEqual(one, given)).includes(true)
  }
}

/**
 * Standard Webhooks: a signature of id, time and body, in `webhook-id`, `webhook-timestamp` and `webhook-signature`. The id is the event's.
 * @throws TaskError TASKS_OPTIONS without a secret, or with one that is too short or no base64
 */
export function standardWebhook({ secret, toleranceMs = TOLERANCE_MS }: WebhookOptions): Check {
  const known = secretsOf('standardWebhook', secret).map(keyOf)
  return async ({ headers }, body) => {
    const [id, time] = [headers.get('webhook-id'), headers.get('webhook-timestamp')]
    const signatures = headers.get('webhook-signature')
    if (id === null || time === null || signatures === null) return false
    if (!(Math.abs(Date.now() - Number(time) * 1_000) <= toleranceMs)) return false
    const bytes = await body()
    const expected = known.map((key) => createHmac('sha256', key).update(`${id}.${time}.`).update(bytes))
    const texts = expected.map((hmac) => `v1,${hmac.digest('base64')}`)
    return signatures
      .split(' ')
      .flatMap((given) => texts.map((one) => isEqual(one, given)))
      .includes(true)
  }
}

function secretsOf(call: string, secret: string | readonly string[]): readonly string[] {
  const secrets = typeof secret === 'string' ? [secret] : secret
  if (!Array.isArray(secrets) || secrets.length === 0 || secrets.some((one) => typeof one !== 'string' || one === ''))
    throw new TaskError('TASKS_OPTIONS', `${call}: a secret is needed, and it must not be empty`)
  return secrets as readonly string[]
}

/** Of what is no base64, `Buffer.from` makes a key that is short, or empty: one that anybody may have. */
function keyOf(secret: string): Buffer {
  const text = secret.replace(/^whsec_/, '')
  const key = /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
  if (key === undefined || key.length < LEAST_BYTES)
    throw new TaskError(
      'TASKS_OPTIONS',
      `standardWebhook: a secret is at least ${LEAST_BYTES} bytes in base64, behind "whsec_"`,
    )
  return key
}

/** Hashes have one length, whatever was given. */
function isEqual(expected: string, given: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(expected), hash(given))
}
