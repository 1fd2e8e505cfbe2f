import { expect, test, vi } from 'vitest'
import type { ListOptions } from '../src/client/questions'
import { taskContext } from '../src/context'
import { listPipelines } from '../src/engine/listing'
import { encodeRow } from '../src/engine/row-codec'
import { pipelineKey } from '../src/engine/row-keys'
import type { RowSource } from '../src/engine/row-source'
import type { PipelineRow } from '../src/engine/rows'
import type { TaskError } from '../src/errors'
import { partitionOf } from '../src/ids'
import { inParallel, sleep, type Pipeline } from '../src/pipeline'
import { NONE } from '../src/value'
import { eventually, NAMESPACE, ownersOnly, PATIENCE_MS, system, type SystemOptions } from './support/system'

vi.setConfig({ testTimeout: 60_000 })

const waiting = { timeoutMs: PATIENCE_MS }
const ways = ['by a client that reads rows', 'by owners'] as const

function world(way: (typeof ways)[number], options: SystemOptions = {}) {
  const { connect, ...rest } = system(options)
  const transport = connect()
  const client = rest.client({}, way === 'by owners' ? ownersOnly(transport) : transport)
  const told = async (more: ListOptions = {}): Promise<readonly string[]> =>
    (await client.list({ ...more, children: true })).pipelines.map(({ id, status }) => `${id} ${status}`)
  return { ...rest, connect, client, told }
}

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open!: () => void
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

test.each(ways)(
  'what tasks have returned is listed after its root while it runs, and pages lose nothing, %s',
  async (way) => {
    const { tasks, worker, client, told } = world(way)
    const { opened, open } = gate()
    const seen = new Map<string, string | undefined>()
    const held = tasks.bind('held', async (n: number) => {
      const { pipelineId, parentId } = taskContext()
      seen.set(pipelineId, parentId)
      await opened
      return n
    })
    const one = tasks.bind('one', () => 1)
    const inner = tasks.bind('inner', () => held.send(1).set({ displayName: 'innermost' }))
    const outer = tasks.bind('outer', () =>
      inParallel([inner.send(), inner.send().continueWith(one.send()), one.send().continueWith(held), one.send()]),
    )
    const count = tasks.bind('count', (left: number): Pipeline<number, void> =>
      left === 0 ? held.send(2) : count.send(left - 1),
    )
    await worker()
    const before = Date.now()
    const deep = await client.submit(count, 4, { id: 'a/b' })
    const wide = await client.submit(outer.send().continueWith(one.send()), { id: 'p', meta: { a: 1 } })
    await client.submit(sleep(3_600_000), { id: 'z' })
    await eventually(async () => expect(seen.size).toBe(4))
    const whole = [
      'a/b RUNNING',
      'a/b~5 RUNNING',
      'p RUNNING',
      'p/0: RUNNING',
      'p/0:/0.0~1 RUNNING',
      'p/0:/0.1/0: RUNNING',
      'z RUNNING',
    ]
    await eventually(async () => expect(await told()).toEqual(whole))
    // As their tasks know it themselves.
    const { pipelines } = await client.list({ children: true })
    const parents = pipelines.flatMap((found) => ('rootId' in found ? [[found.id, found.parentId] as const] : []))
    expect(parents).toEqual([
      ['a/b~5', 'a/b~4'],
      ['p/0:', 'p'],
      ['p/0:/0.0~1', 'p/0:'],
      ['p/0:/0.1/0:', 'p/0:'],
    ])
    expect(seen).toEqual(new Map(parents))
    const [, , , p0, innermost] = pipelines
    expect(p0).toMatchObject({ rootId: 'p', name: 'inner', meta: { a: 1 }, run: (await wide.status()).run })
    expect(innermost).toMatchObject({ rootId: 'p', name: 'innermost' })
    expect(innermost!.createdAt).toBeGreaterThanOrEqual(before)
    expect(innermost!.createdAt).toBeLessThanOrEqual(Date.now())
    // Roots alone are what they were.
    expect((await client.list()).pipelines.map(({ id }) => id)).toEqual(['a/b', 'p', 'z'])
    for (let limit = 1; limit < 8; limit++) {
      const pages: string[] = []
      for (let after: string | undefined; ;) {
        const page = await client.list({ children: true, limit, ...(after === undefined ? {} : { after }) })
        pages.push(...page.pipelines.map(({ id, status }) => `${id} ${status}`))
        after = page.after
        if (after === undefined) break
      }
      expect(pages, `pages of ${limit}`).toEqual(whole)
    }
    expect(await told({ name: 'innermost' })).toEqual([whole[4], whole[5]])
    expect(await told({ name: 'held' })).toEqual(['a/b~5 RUNNING'])
    expect(await told({ since: before, limit: 2 })).toEqual(whole.slice(0, 2))
    expect(await told({ since: Date.now() + 60_000 })).toEqual([])
    await client.pause('p')
    expect(await told({ status: 'PAUSED' })).toEqual(whole.slice(2, 6).map((text) => text.replace('RUNNING', 'PAUSED')))
    await client.resume('p')
    open()
    await Promise.all([deep.result(waiting), wide.result(waiting)])
    // Of a run that ended well only what had its place is known.
    expect(await told()).toEqual(['a/b COMPLETED', 'a/b~5 COMPLETED', 'p COMPLETED', 'z RUNNING'])
    const [, ended] = (await client.list({ children: true, status: 'COMPLETED' })).pipelines
    expect(ended).toMatchObject({ name: 'held', parentId: 'a/b~4', finishedAt: expect.any(Number) as number })
  },
)

test.each(ways)('what tasks have returned and has failed is listed as long as a retry may need it, %s', async (way) => {
  const { tasks, worker, client, told } = world(way)
  const { opened, open } = gate()
  let luck = false
  const held = tasks.bind('held', () => opened)
  const one = tasks.bind('one', () => 1)
  const fails = tasks.bind('fails', (): number => {
    if (luck) return 1
    throw new Error('no luck')
  })
  const mends = tasks.bind('mends', (_: TaskError) => 1)
  const holds = tasks.bind('holds', () => held.send())
  const bad = tasks.bind('bad', () => fails.send())
  const worse = tasks.bind('worse', () => bad.send().continueWith(one.send()))
  await worker()
  const run = await client.submit(
    worse
      .send()
      .continueWith(one.send())
      .exceptionally(mends)
      .continueWith(inParallel([bad.send(), holds.send(), worse.send().continueWith(one.send())]))
      .continueWith(one.send()),
    { id: 's' },
  )
  const failed = ['s/0: FAILED', 's/0:/0: FAILED', 's/3.0~1 FAILED']
  const below = ['s/3.2/0: FAILED', 's/3.2/0:/0: FAILED']
  await eventually(async () => expect(await told()).toEqual(['s RUNNING', ...failed, 's/3.1~1 RUNNING', ...below]))
  expect(await told({ status: 'FAILED' })).toEqual([...failed, ...below])
  expect(await told({ status: 'RUNNING' })).toEqual(['s RUNNING', 's/3.1~1 RUNNING'])
  open()
  await expect(run.result(waiting)).rejects.toMatchObject({ code: 'TASKS_GROUP_FAILED' })
  expect(await told()).toEqual(['s FAILED', ...failed, ...below])
  luck = true
  expect(await (await client.retry('s')).result(waiting)).toBe(1)
  await eventually(async () => expect(await told()).toEqual(['s COMPLETED']))
})

test('what tasks have returned ends with a cancelled root', async () => {
  const { tasks, worker, client, told } = world('by owners')
  const { opened, open } = gate()
  const last = tasks.bind('last', () => opened)
  const naps = tasks.bind('naps', () => sleep(3_600_000).finallyDo(last))
  await worker()
  await client.submit(naps.send().continueWith(sleep(1)), { id: 'a' })
  const tail = await client.submit(naps.send(), { id: 'b' })
  await eventually(async () => expect(await told()).toEqual(['a RUNNING', 'a/0: RUNNING', 'b RUNNING', 'b~1 RUNNING']))
  await Promise.all([client.cancel('a'), client.cancel('b')])
  expect(await told({ status: 'CANCELLING' })).toEqual([
    'a CANCELLING',
    'a/0: CANCELLING',
    'b CANCELLING',
    'b~1 CANCELLING',
  ])
  open()
  await expect(tail.result(waiting)).rejects.toMatchObject({ code: 'TASKS_CANCELLED' })
  await eventually(async () => expect(await told()).toEqual(['a CANCELLED', 'b CANCELLED', 'b~1 CANCELLED']))
})

test('a root with many returned pipelines is listed by pages that are bounded, each of them once', async () => {
  const size = process.env['TASKS_TIER'] === 'all' ? 10_000 : 500
  const { tasks, worker, client, connect } = world('by owners', { transport: { maxMessageBytes: 64 << 10 } })
  const nap = tasks.bind('nap', () => sleep(3_600_000))
  await worker({ concurrency: 100 })
  await client.submit(inParallel(Array.from({ length: size }, () => nap.send())), { id: 'wide' })
  await eventually(async () => expect((await client.status('wide'))!.attempts).toBe(size))
  const seen = new Set<string>()
  for (let after: string | undefined; ;) {
    const page = await client.list({ children: true, limit: 220, ...(after === undefined ? {} : { after }) })
    for (const { id } of page.pipelines) {
      expect(seen.has(id), `${id} is listed twice`).toBe(false)
      seen.add(id)
    }
    after = page.after
    if (after === undefined) break
  }
  expect(seen.size).toBe(size + 1)
  // What a page reads does not depend on how many there are.
  const space = await connect().open({ namespace: NAMESPACE })
  const read = { rows: 0, keys: 0 }
  const partition = partitionOf('wide', space.partitions)
  const source: RowSource = {
    blobs: space.blobs,
    async load(keys) {
      read.keys += keys.length
      return space.reader!.load(partition, keys)
    },
    async scan(prefix, from, limit) {
      const rows = await space.reader!.scan(partition, prefix, from, limit)
      read.rows += rows.length
      return rows
    },
  }
  const { pipelines, next } = await listPipelines(source, { limit: 10, returned: 1 }, Infinity)
  expect([pipelines.length, next?.after]).toEqual([10, 'M/wide'])
  expect(read.rows).toBeLessThan(200)
  expect(read.keys).toBeLessThan(200)
})

test('a question that finds little looks at so many rows, and says where it goes on', async () => {
  const row: PipelineRow = {
    id: '',
    run: 'r',
    name: 'one',
    earlier: undefined,
    gen: 1,
    status: 'RUNNING',
    hash: '',
    createdAt: 1,
    finishedAt: 0,
    retentionMs: 1,
    meta: undefined,
    replyTo: undefined,
    lone: false,
    tasks: 1,
    done: 0,
    attempts: 0,
    out: 0,
    waits: 0,
    taken: undefined,
    finals: 0,
    litter: false,
    finishing: false,
    leaving: false,
    commands: undefined,
    events: 0,
    notes: undefined,
    chain: undefined,
    outcome: NONE,
    tree: undefined,
  }
  const plain = encodeRow('M/p', row)
  const rows = Array.from({ length: 25_000 }, (_, n) => {
    const id = `p${String(n).padStart(5, '0')}`
    const key = pipelineKey(id)
    return [key, n % 12_000 === 11_999 ? encodeRow(key, { ...row, id, name: 'other' }) : plain] as const
  })
  const source: RowSource = {
    blobs: { get: () => Promise.resolve(undefined) },
    load: () => Promise.resolve([]),
    scan: (_, after, limit) => {
      const from = after === undefined ? 0 : Number(after.slice(3)) + 1
      return Promise.resolve(rows.slice(from, from + limit))
    },
  }
  const found: string[] = []
  const ends: (string | undefined)[] = []
  for (let after: string | undefined; ;) {
    const question = { limit: 10, name: 'other', ...(after === undefined ? {} : { after }) }
    const { pipelines, next } = await listPipelines(source, question, Infinity)
    found.push(...pipelines.map(({ id }) => id))
    ends.push(next?.after)
    after = next?.after
    if (after === undefined) break
  }
  expect(found).toEqual(['p11999', 'p23999'])
  expect(ends).toEqual(['M/p09999', 'M/p19999', undefined])
})
