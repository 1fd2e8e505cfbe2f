// What newer servers offer, held against what is done instead, on the same server in turns: node --import tsx --conditions=@tasks/source bench/offers.ts [version]
import { startNats } from '@tasks/dev-config/brokers'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect, headers } from '@nats-io/transport-node'

const [version = '2.12.1'] = process.argv.slice(2)
const TASKS = 50_000
const TURNS = 5
const BODY = Buffer.alloc(113, 'x')
/** As `outbox.ts` shares. */
const IN_ONE = 16
const BATCH = 500
const UNDER_WAY = 500

const server = await startNats({ version })
const client = await connect({ servers: server.url, noAsyncTraces: true })

async function ask(
  client: NatsConnection,
  subject: string,
  payload: Buffer | string,
  head?: ReturnType<typeof headers>,
) {
  const answer = await client.request(subject, payload, { timeout: 20_000, ...(head && { headers: head }) })
  const { error } = answer.json<{ error?: { description: string } }>()
  if (error !== undefined) throw new Error(error.description)
}

async function many(count: number, atOnce: number, one: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await one(i)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

/** All but the last are not answered. */
async function batch(subject: string, size: number): Promise<void> {
  const id = Math.random().toString(36)
  for (let i = 1; i <= size; i++) {
    const head = headers()
    head.set('Nats-Batch-Id', id)
    head.set('Nats-Batch-Sequence', String(i))
    if (i === size) {
      head.set('Nats-Batch-Commit', '1')
      await ask(client, subject, BODY, head)
    } else client.publish(subject, BODY, { headers: head })
  }
}

const ways: Readonly<Record<string, () => Promise<void>>> = {
  'one message each, 500 under way': () => many(TASKS, UNDER_WAY, () => ask(client, 'single', BODY)),
  [`atomic batches of ${BATCH}, two under way`]: () => many(TASKS / BATCH, 2, () => batch('batch', BATCH)),
  [`${IN_ONE} in a message, ${BATCH} tasks a call, two calls under way`]: () =>
    many(TASKS / BATCH, 2, () =>
      many(Math.ceil(BATCH / IN_ONE), BATCH, () => ask(client, 'shared', Buffer.alloc(BODY.length * IN_ONE))),
    ),
}

for (const name of ['single', 'batch', 'shared']) {
  const config = { name, subjects: [name], storage: 'file', retention: 'limits', allow_atomic: name === 'batch' }
  const answer = await client.request(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify(config), { timeout: 20_000 })
  const { config: made } = answer.json<{ config: { allow_atomic?: boolean } }>()
  // An older server says nothing, and stores a batch as single messages.
  if (name === 'batch' && made.allow_atomic !== true) throw new Error(`nats-server ${version} knows no atomic batches`)
}
const rates = new Map<string, number[]>(Object.keys(ways).map((way) => [way, []]))
for (let turn = 0; turn < TURNS; turn++)
  for (const [way, run] of Object.entries(ways)) {
    const since = performance.now()
    await run()
    if (turn > 0) rates.get(way)!.push((TASKS / (performance.now() - since)) * 1000)
  }
for (const [way, found] of rates)
  console.log(`${Math.round(found.sort((a, b) => a - b)[found.length >> 1]!)} tasks a second: ${way}`)
await client.close()
await server.stop()
