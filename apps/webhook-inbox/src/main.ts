// The whole of it in one process: webhooks are put into a list of Redis and answered; what takes them from there submits pipelines and sends events; a worker runs them.
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { createClient, startWorker } from '@tasks/core'
import { startRedis } from '@tasks/dev-config/brokers'
import { receiveMessages } from '@tasks/listener-queue'
import { redisList } from '@tasks/listener-queue/redis'
import { Redis } from 'ioredis'
import { handle, NAMESPACE, tasks, type Webhook } from './orders'

const usage = `Usage: npm run webhook-inbox -- [options]

Takes webhooks into a queue, starts a pipeline with each order, and lets it wait for its payment.

  --redis <url>      where the queue is; default: REDIS_URL, else a server that is started for it
  --transport <url>  where the pipelines are; default: TASKS_URL, else a new SQLite file in the folder for temporary files
  --port <number>    default: any that is free
  -h, --help         this`

const { values: options } = parseArgs({
  options: {
    redis: { type: 'string', default: process.env['REDIS_URL'] || undefined },
    transport: { type: 'string', default: process.env['TASKS_URL'] || undefined },
    port: { type: 'string', default: '0' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (options.help) {
  console.log(usage)
  process.exit(0)
}

const QUEUE = 'webhooks'
/** Of the lives of this program: what one has taken and not done, the next one takes. */
const LEASE_MS = 5_000

const transport = options.transport ?? `sqlite:${join(mkdtempSync(join(tmpdir(), 'tasks-webhooks-')), 'tasks.db')}`
const secret = process.env['WEBHOOK_SECRET'] || randomBytes(16).toString('hex')
const own = options.redis === undefined ? await startRedis() : undefined
const redis = new Redis(options.redis ?? own!.url)
const client = createClient({ namespace: NAMESPACE, transport })
const worker = await startWorker({ tasks, transport, handleSignals: true })
const queue = redisList({ client: redis, key: QUEUE, leaseMs: LEASE_MS })
const receiver = receiveMessages<Webhook>(queue, (message) => handle(client, message))

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '/' } = request
  const reply = (status: number, body: unknown): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const [, id] = /^\/orders\/([\w-]{1,64})$/.exec(url) ?? []
  if (method === 'GET' && id !== undefined) {
    const run = client.attach<string>(id)
    const { status } = (await client.status(id)) ?? {}
    return reply(200, { status, result: status === 'COMPLETED' ? await run.result() : undefined })
  }
  // In production: a signature, as `@tasks/listener-http` checks them. Nobody knows this path.
  if (method !== 'POST' || url !== `/webhooks/${secret}`) return reply(404, { error: 'there is nothing here' })
  await redis.rpush(QUEUE, JSON.stringify(JSON.parse(await text(request))))
  reply(202, {})
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => response.writeHead(400).end(String(error)))
})
await new Promise<void>((resolve) => server.listen(Number(options.port), '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
console.log(`Pipelines are in ${transport}. Let a shop say something:

  curl ${url}/webhooks/${secret} -d '{"type":"order.placed","order":{"id":"7","item":"a lathe"}}'
  curl ${url}/webhooks/${secret} -d '{"type":"order.paid","orderId":"7","payment":{"amount":9000}}'
  curl ${url}/orders/7
`)
await worker.closed
server.close()
server.closeAllConnections()
await receiver.close()
await client.close()
redis.disconnect()
await own?.stop()
