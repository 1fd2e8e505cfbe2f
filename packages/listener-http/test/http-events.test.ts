import { createHmac } from 'node:crypto'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, createTasks, startWorker, TaskError, waitForEvent, type Client } from '@tasks/core'
import { memoryStore, memoryTransport } from '@tasks/core/memory'
import { silentLogger } from '@tasks/core/testing'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  bearerSecret,
  hmacSignature,
  httpEvents,
  nodeHandler,
  serveEvents,
  standardWebhook,
  type HttpEventsOptions,
} from '../src/index'

const NAMESPACE = 'http'
const SECRET = 'correct horse battery staple'

/** A worker, and a client that pipelines are submitted by and events sent. */
async function running(): Promise<Client> {
  const store = memoryStore()
  const transport = memoryTransport({ store })
  const worker = await startWorker({
    tasks: createTasks({ namespace: NAMESPACE }),
    transport,
    logger: silentLogger,
    roles: ['owner'],
  })
  const client = createClient({ namespace: NAMESPACE, transport, logger: silentLogger })
  onTestFinished(async () => {
    await client.close()
    await worker.close({ drainMs: 0 })
    await transport.close()
  })
  return client
}

/** What notes the events that it is given. */
function recorder(sendEvent?: Client['sendEvent']) {
  const sent: Parameters<Client['sendEvent']>[0][] = []
  const client: HttpEventsOptions['client'] = {
    sendEvent: sendEvent ?? (async (event) => (sent.push(event), event.id ?? 'made')),
    status: async () => undefined,
  }
  return { sent, client }
}

const post = (path: string, body?: RequestInit['body'], headers: Record<string, string> = {}): Request =>
  new Request(`http://localhost${path}`, {
    method: 'POST',
    headers,
    ...(body !== undefined && { body, duplex: 'half' }),
  })

const bearer = { authorization: `Bearer ${SECRET}` }

describe('an event that is posted', () => {
  test('wakes the pipeline that it is for, over a real server', async () => {
    const client = await running()
    await using server = await serveEvents({ client, check: bearerSecret(SECRET) })
    const run = await client.submit(waitForEvent({ key: 'approved', pipeline: true }), { id: 'a/order 7' })
    const response = await fetch(`${server.url}/events/a%2Forder%207/approved`, {
      method: 'POST',
      headers: { ...bearer, 'content-type': 'application/json', 'idempotency-key': '"approval-1"' },
      body: JSON.stringify({ by: 'Ada' }),
    })
    expect([response.status, await response.json()]).toEqual([200, { id: 'approval-1' }])
    expect(await run.result()).toEqual({ by: 'Ada' })
  })

  test('may come before its pipeline, and counts once under one key', async () => {
    const client = await running()
    const events = httpEvents({ client, check: 'open' })
    for (let times = 0; times < 3; times++) {
      const sent = await events.fetch(post('/events/p/go', '1', { 'idempotency-key': 'once' }))
      expect(await sent.json()).toEqual({ id: 'once' })
    }
    const twice = waitForEvent({ key: 'go', pipeline: true }).continueWith(
      waitForEvent({ key: 'go', pipeline: true }, { timeoutMs: 100 }),
    )
    await expect((await client.submit(twice, { id: 'p' })).result()).rejects.toMatchObject({ code: 'TASKS_TIMEOUT' })
  })

  test('is refused where its pipeline must be there', async () => {
    const client = await running()
    const events = httpEvents({ client, check: bearerSecret(SECRET), strict: true })
    const unknown = await events.fetch(post('/events/p/go', '1', bearer))
    expect([unknown.status, await unknown.json()]).toEqual([404, { error: 'there is no pipeline "p"' }])
    // Who may not send is not told.
    expect((await events.fetch(post('/events/p/go', '1'))).status).toBe(401)
    const run = await client.submit(waitForEvent({ key: 'go', pipeline: true }), { id: 'p' })
    await vi.waitFor(async () => expect(await client.status('p')).toBeDefined(), 20_000)
    expect((await events.fetch(post('/events/p/go', '1', bearer))).status).toBe(200)
    expect(await run.result()).toBe(1)
  })

  test('is answered when it is durable, and not before', async () => {
    let store: (id: string) => void = () => undefined
    const { client } = recorder(() => new Promise((resolve) => (store = resolve)))
    const answered = httpEvents({ client, check: 'open' }).fetch(post('/events/p/go', '1'))
    const first = await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 20, 'nothing'))])
    expect(first).toBe('nothing')
    store('stored')
    expect(await (await answered).json()).toEqual({ id: 'stored' })
  })

  test.each([
    ['TASKS_UNAVAILABLE', 503],
    ['TASKS_VALUE_TOO_LARGE', 413],
    ['TASKS_CLOSED', 500],
  ] as const)('that fails with %s is answered with %i', async (code, status) => {
    const { client } = recorder(() => Promise.reject(new TaskError(code, 'the disk of db-7 is full')))
    const response = await httpEvents({ client, check: 'open' }).fetch(post('/events/p/go', '1'))
    expect(response.status).toBe(status)
    // What is wrong with the event is said; what is wrong in here is not.
    expect((await response.text()).includes('db-7')).toBe(status < 500)
  })
})

describe('what is no event is refused', () => {
  const { sent, client } = recorder()
  const events = httpEvents({ client, check: bearerSecret(SECRET), maxBytes: 100 })

  test.each([
    ['another method', new Request('http://localhost/events/p/go', { headers: bearer }), 405],
    ['another path', post('/event/p/go', '1', bearer), 404],
    ['no key', post('/events/p', '1', bearer), 404],
    ['an empty pipeline', post('/events//go', '1', bearer), 404],
    ['a path that goes on', post('/events/p/go/on', '1', bearer), 404],
    ['a bad escape', post('/events/p/%zz', '1', bearer), 400],
    ['what is no JSON', post('/events/p/go', '{', bearer), 400],
    ['what is no UTF-8', post('/events/p/go', new Uint8Array([34, 255, 34]), bearer), 400],
    ['a long body', post('/events/p/go', JSON.stringify('x'.repeat(100)), bearer), 413],
    ['a long body that does not say so', post('/events/p/go', inPieces(20, 10), bearer), 413],
    ['nobody', post('/events/p/go', '1'), 401],
    ['somebody else', post('/events/p/go', '1', { authorization: `Bearer ${SECRET}!` }), 401],
  ])('%s', async (_, request, status) => {
    const response = await events.fetch(request)
    expect([response.status, Object.keys((await response.json()) as object)]).toEqual([status, ['error']])
    expect(response.headers.get('allow')).toBe(status === 405 ? 'POST' : null)
    expect(sent).toEqual([])
  })

  test('an id that is none', async () => {
    const real = httpEvents({ client: await running(), check: 'open' })
    expect((await real.fetch(post('/events/p/%00', '1'))).status).toBe(400)
    expect((await real.fetch(post(`/events/${'p'.repeat(300)}/go`, '1'))).status).toBe(400)
  })
})

function inPieces(count: number, bytes: number): ReadableStream<Uint8Array> {
  let left = count
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(bytes).fill(49))
      else controller.close()
    },
  })
}

describe('who may send', () => {
  test('has to be said', () => {
    const { client } = recorder()
    for (const check of [undefined, null, '', 'none', {}])
      expect(() => httpEvents({ client, check: check as never })).toThrow(
        expect.objectContaining({ code: 'TASKS_OPTIONS', message: expect.stringMatching(/say who may send/) }),
      )
    for (const none of ['', [], ['']]) expect(() => bearerSecret(none)).toThrow(/a secret is needed/)
    // What becomes an empty key, or one that is shorter than it looks: anybody could sign.
    for (const secret of ['whsec_', 'whsec_!', 'whsec_====', 'whsec_YWJj', 'my secret of many words', ['whsec_']])
      expect(() => standardWebhook({ secret })).toThrow(expect.objectContaining({ code: 'TASKS_OPTIONS' }))
    expect(() => httpEvents({ client, check: 'open', cheque: 1 } as never)).toThrow(/no option "cheque"/)
    expect(() => httpEvents({ client, check: 'open', maxBytes: 0 })).toThrow(/maxBytes/)
  })

  test('an event without a value needs no body', async () => {
    const { sent, client } = recorder()
    await httpEvents({ client, check: 'open', keepMs: 5 }).fetch(post('/events/p/go'))
    expect(sent).toEqual([{ key: 'go', pipelineId: 'p', value: undefined, keepMs: 5 }])
  })

  test('knows a secret, while it is being replaced either of two', async () => {
    const { client } = recorder()
    const events = httpEvents({ client, check: bearerSecret(['old', 'new']) })
    const status = async (given: string) =>
      (await events.fetch(post('/events/p/go', '1', { authorization: given }))).status
    expect(await Promise.all(['Bearer old', 'bearer new', 'Bearer', 'Basic old', 'Bearer ol'].map(status))).toEqual([
      200, 200, 401, 401, 401,
    ])
  })

  test('signs the body', async () => {
    const { client } = recorder()
    const events = httpEvents({ client, check: hmacSignature({ secret: SECRET }) })
    const sign = (body: string, secret = SECRET) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
    const status = async (body: string, signature?: string) =>
      (
        await events.fetch(
          post('/events/p/go', body, signature === undefined ? {} : { 'x-hub-signature-256': signature }),
        )
      ).status
    expect(await status('{"a":1}', sign('{"a":1}'))).toBe(200)
    expect(await status('{"a":2}', sign('{"a":1}'))).toBe(401)
    expect(await status('{"a":1}', sign('{"a":1}', 'another'))).toBe(401)
    expect(await status('{"a":1}')).toBe(401)
  })

  test('signs a standard webhook, whose id is the event, and whose time is not long ago', async () => {
    const { sent, client } = recorder()
    const key = Buffer.from('a key of some bytes')
    const events = httpEvents({ client, check: standardWebhook({ secret: `whsec_${key.toString('base64')}` }) })
    const status = async (at: number, body: string, signed = body) => {
      const time = String(Math.floor(at / 1_000))
      const signature = createHmac('sha256', key).update(`msg_1.${time}.${signed}`).digest('base64')
      const headers = {
        'webhook-id': 'msg_1',
        'webhook-timestamp': time,
        'webhook-signature': `v1,AAAA v1,${signature}`,
      }
      return (await events.fetch(post('/events/p/go', body, { ...headers, 'idempotency-key': 'not signed' }))).status
    }
    expect(await status(Date.now(), '1')).toBe(200)
    expect(await status(Date.now(), '1', '2')).toBe(401)
    expect(await status(Date.now() - 600_000, '1')).toBe(401)
    expect(sent.map(({ id }) => id)).toEqual(['msg_1'])
  })
})

describe('it is mounted', () => {
  test('in Hono', async () => {
    const { sent, client } = recorder()
    const events = httpEvents({ client, check: bearerSecret(SECRET) })
    const app = new Hono().post('/events/*', (context) => events.fetch(context.req.raw))
    expect((await app.request(post('/events/p/go', '{"a":1}', bearer))).status).toBe(200)
    expect((await app.request(post('/events/p/go', '{"a":1}'))).status).toBe(401)
    expect(sent).toMatchObject([{ key: 'go', pipelineId: 'p', value: { a: 1 } }])
  })

  test('in Express, below another path, before what reads bodies', async () => {
    const { sent, client } = recorder()
    const events = httpEvents({ client, check: bearerSecret(SECRET), path: '/api/events' })
    const router = express.Router().post('/events/:pipeline/:key', events.node)
    const url = await listening(express().use('/api', router).use(express.json()))
    const send = (headers: Record<string, string>) =>
      fetch(`${url}/api/events/p/go`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: '{"a":1}',
      })
    expect((await send(bearer)).status).toBe(200)
    expect((await send({})).status).toBe(401)
    expect(sent).toMatchObject([{ key: 'go', pipelineId: 'p', value: { a: 1 } }])
  })

  test('in Fastify, in a scope without body parsers', async () => {
    const { sent, client } = recorder()
    const events = httpEvents({ client, check: bearerSecret(SECRET) })
    const app = fastify()
    onTestFinished(() => app.close())
    await app.register(async (scope) => {
      scope.removeAllContentTypeParsers()
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
      scope.post('/events/*', (request, reply) => {
        reply.hijack()
        events.node(request.raw, reply.raw)
      })
    })
    app.post('/echo', (request) => request.body)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const send = (path: string, headers: Record<string, string>) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: '{"a":1}',
      })
    expect((await send('/events/p/go', bearer)).status).toBe(200)
    expect((await send('/events/p/go', {})).status).toBe(401)
    expect(sent).toMatchObject([{ key: 'go', pipelineId: 'p', value: { a: 1 } }])
    // The rest of the server has its parsers.
    expect(await (await send('/echo', {})).json()).toEqual({ a: 1 })
  })

  test('in node:http', async () => {
    const { sent, client } = recorder()
    const events = httpEvents({ client, check: bearerSecret(SECRET), path: '/api/events', maxBytes: 1_000 })
    const url = await listening(events.node)
    const send = (body: string, headers: Record<string, string> = bearer) =>
      fetch(`${url}/api/events/p/go`, { method: 'POST', headers, body })
    expect((await send('"ok"')).status).toBe(200)
    // The sender of much hears why nobody wants it.
    expect((await send(JSON.stringify('x'.repeat(3_000_000)))).status).toBe(413)
    expect((await send('"ok"', {})).status).toBe(401)
    expect((await fetch(`${url}/api/events/p/go`)).status).toBe(405)
    expect(await statusOf(url, 'TRACE')).toBe(400)
    expect(sent).toHaveLength(1)
  })

  test('beside what is handled in the same way', async () => {
    const { client } = recorder()
    const events = httpEvents({ client, check: 'open' })
    const logged: unknown[] = []
    const url = await listening(
      nodeHandler(
        async (request) => {
          if (!request.url.endsWith('/upper')) return events.fetch(request)
          return Response.json((await request.text()).toUpperCase(), { status: 201 })
        },
        { maxBytes: 10, logger: { error: (fields) => logged.push(fields) } },
      ),
    )
    const send = async (path: string, body?: string) => {
      const response = await fetch(url + path, { method: 'POST', ...(body !== undefined && { body }) })
      return [response.status, await response.json()] as const
    }
    expect(await send('/upper', 'abc')).toEqual([201, 'ABC'])
    expect((await send('/events/p/go', '1'))[0]).toBe(200)
    expect((await send('/upper', 'more than ten'))[0]).toBe(413)
    expect(logged).toEqual([])
  })

  test('and what fails is not told to its sender', async () => {
    const logged: unknown[] = []
    const logger = { error: (fields: object) => logged.push(fields) }
    const url = await listening(nodeHandler(() => Promise.reject(new Error('the disk of db-7 is full')), { logger }))
    const response = await fetch(url)
    expect([response.status, (await response.text()).includes('db-7'), logged.length]).toEqual([500, false, 1])
  })

  test('not behind what has read the body', async () => {
    const { client } = recorder()
    const events = httpEvents({ client, check: 'open' })
    const url = await listening((request, response) => {
      request.on('end', () => events.node(request, response)).resume()
    })
    const response = await fetch(`${url}/events/p/go`, { method: 'POST', body: '1' })
    expect([response.status, await response.text()]).toEqual([500, expect.stringMatching(/before body parsers/)])
  })
})

async function listening(handle: Parameters<typeof createServer>[1] & {}): Promise<string> {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function statusOf(url: string, method: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    httpRequest(`${url}/api/events/p/go`, { method }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
}
