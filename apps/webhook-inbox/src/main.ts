// The whole of it in one process: webhooks are put into a list of Redis and answered; what takes them from there submits pipelines and sends events; a worker runs them.
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient, startWorker } from '@tasks/core'
import { bearerSecret, nodeHandler } from '@tasks/listener-http'
import { receiveMessages } from '@tasks/listener-queue'
import { redisList } from '@tasks/listener-queue/redis'
import { Redis } from 'ioredis'
import { handle, isWebhook, NAMESPACE, orders, type Webhook } from './orders'

const usage = `Usage: npm run webhook-inbox -- [options]

Takes webhooks into a queue, starts a pipeline with each order, and lets it wait for its payment.

  --redis <url>      where the queue is; default: REDIS_URL. 'npm run' starts a server where neither is given
  --transport <url>  where the pipelines are; default: TASKS_URL, else a new SQLite file in the folder for temporary files
  --port <number>    default: any that is free
  -h, --help         this

WEBHOOK_SECRET is the secret of those who may send and ask; default: a new one, which is shown.`

const { values: options } = parseArgs({
  options: {
    redis: { type: 'string', default: process.env['REDIS_URL'] || undefined },
    transport: { type: 'string', default: process.env['TASKS_URL'] || undefined },
    port: { type: 'string', default: '0' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (options.help || options.redis === undefined) {
  console.log(usage)
  process.exit(options.help ? 0 : 2)
}

const QUEUE = 'webhooks'
/** What cannot be handled, for a person to look at. */
const BAD = 'webhooks:bad'
/** Of the lives of this program: what one has taken and not done, the next one takes. */
const LEASE_MS = 5_000

const transport = options.transport ?? `sqlite:${join(mkdtempSync(join(tmpdir(), 'tasks-webhooks-')), 'tasks.db')}`
const secret = process.env['WEBHOOK_SECRET'] || randomBytes(16).toString('hex')
const redis = new Redis(options.redis)
const client = createClient({ namespace: NAMESPACE, transport })
const { tasks, fulfil } = orders((parcel) => console.log(parcel))
const worker = await startWorker({ tasks, transport, handleSignals: true })
const queue = redisList({ client: redis, key: QUEUE, leaseMs: LEASE_MS })
const receiver = receiveMessages<Webhook>(queue, (message) => handle(client, fulfil, message), {
  giveUp: ({ body }) => redis.rpush(BAD, body),
})
// A shop that signs is known by `hmacSignature(…)` or `standardWebhook(…)` instead.
const check = bearerSecret(secret)

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  const body = async () => new Uint8Array(await request.clone().arrayBuffer())
  if (!(await check(request, body))) return Response.json({ error: 'who sends this is not known' }, { status: 401 })
  const [, id] = /^\/orders\/([\w-]{1,64})$/.exec(pathname) ?? []
  if (request.method === 'GET' && id !== undefined) {
    const { status } = (await client.status(id)) ?? {}
    const result = status === 'COMPLETED' ? await client.attach<string>(id).result() : undefined
    return Response.json({ status, result })
  }
  if (request.method !== 'POST' || pathname !== '/webhooks')
    return Response.json({ error: 'there is nothing here' }, { status: 404 })
  const webhook: unknown = await request.json().catch(() => undefined)
  if (!isWebhook(webhook)) return Response.json({ error: 'this is no webhook of a shop' }, { status: 400 })
  await redis.rpush(QUEUE, JSON.stringify(webhook))
  return Response.json({}, { status: 202 })
}

const server = createServer(nodeHandler(answer))
await new Promise<void>((resolve) => server.listen(Number(options.port), '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
console.log(`Pipelines are in ${transport}. Let a shop say something:

  curl ${url}/webhooks -H 'authorization: Bearer ${secret}' -d '{"type":"order.placed","order":{"id":"7","item":"a lathe"}}'
  curl ${url}/webhooks -H 'authorization: Bearer ${secret}' -d '{"type":"order.paid","orderId":"7","payment":{"amount":9000}}'
  curl ${url}/orders/7 -H 'authorization: Bearer ${secret}'
`)
await worker.closed
server.close()
server.closeAllConnections()
await receiver.close()
await client.close()
redis.disconnect()
