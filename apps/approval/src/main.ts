// The whole of it in one process: a worker, and a server that takes purchases and decisions. Started again on the same file, it goes on where it was.
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient, startWorker } from '@tasks/core'
import { bearerSecret, httpEvents, nodeHandler } from '@tasks/listener-http'
import { DAY_MS, DECISION, isPurchase, NAMESPACE, purchases } from './purchases'

const usage = `Usage: npm run approval -- [options]

Takes purchases, asks a person (on this terminal), and waits three days for the decision.

  --transport <url>  default: TASKS_URL, else a new SQLite file in the folder for temporary files
  --port <number>    default: any that is free
  --day <ms>         how long a day is, to see it all in a minute: --day 10000
  -h, --help         this

APPROVAL_SECRET is the secret of those who may send; default: a new one, which is shown.`

const { values: options } = parseArgs({
  options: {
    transport: { type: 'string', default: process.env['TASKS_URL'] || undefined },
    port: { type: 'string', default: '0' },
    day: { type: 'string', default: String(DAY_MS) },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const dayMs = Number(options.day)
if (options.help || !(dayMs > 0)) {
  console.log(usage)
  process.exit(options.help ? 0 : 2)
}

const transport = options.transport ?? `sqlite:${join(mkdtempSync(join(tmpdir(), 'tasks-approval-')), 'tasks.db')}`
const secret = process.env['APPROVAL_SECRET'] || randomBytes(16).toString('hex')
const { tasks, buy } = purchases((whom, message) => console.log(`to ${whom}: ${message}`), dayMs)
const client = createClient({ namespace: NAMESPACE, transport })
const check = bearerSecret(secret)
const events = httpEvents({ client, check, strict: true })

async function answer(request: Request): Promise<Response> {
  const [, id] = /^\/purchases\/([\w-]{1,64})$/.exec(new URL(request.url).pathname) ?? []
  if (id === undefined) return events.fetch(request)
  const body = async () => new Uint8Array(await request.clone().arrayBuffer())
  if (!(await check(request, body))) return Response.json({ error: 'who sends this is not known' }, { status: 401 })
  if (request.method === 'GET') return Response.json((await client.status(id)) ?? null)
  const purchase: unknown = await request.json().catch(() => undefined)
  if (!isPurchase(purchase)) return Response.json({ error: 'this is no purchase' }, { status: 400 })
  // Sent again, it is the same purchase.
  await client.submit(buy, purchase, { id })
  return Response.json({ id }, { status: 202 })
}

const worker = await startWorker({ tasks, transport, handleSignals: true })
const server = createServer(nodeHandler(answer))
await new Promise<void>((resolve) => server.listen(Number(options.port), '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
console.log(`Everything is in ${transport}. Buy something, and decide:

  curl -X PUT ${url}/purchases/7 -H 'authorization: Bearer ${secret}' -d '{"what":"a lathe","amount":9000,"approver":"Ada"}'
  curl -X POST ${url}/events/7/${DECISION} -H 'authorization: Bearer ${secret}' -d '{"approved":true,"by":"Ada"}'
  curl ${url}/purchases/7 -H 'authorization: Bearer ${secret}'
`)
await worker.closed
server.close()
server.closeAllConnections()
await client.close()
