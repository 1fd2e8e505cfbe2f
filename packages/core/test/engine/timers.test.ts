import { expect, test } from 'vitest'
import { virtualClock } from '../../src/testing/virtual-clock'
import { RetryAfterError } from '../../src/errors'
import type { ScanRows } from '../../src/engine/fan-in'
import { encodeRow } from '../../src/engine/row-codec'
import { LATEST_MS, RunKeys, dueOf } from '../../src/engine/row-keys'
import type { TimerRow } from '../../src/engine/rows'
import { Timers } from '../../src/engine/timers'
import type { Bytes, RowKey } from '../../src/transport'
import { PartitionClock } from '../../src/engine/partition-clock'
import { silentLogger } from '../../src/testing/silent-logger'
import { eventually, PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

test('a delay of a fraction of a millisecond is due in its turn, not behind everything', async () => {
  const { tasks, worker, client } = system()
  const echo = tasks.bind('echo', (value: number) => value)
  await worker()
  const submitter = client()
  // Each partition has timers of retention, a day away.
  for (let value = 0; value < 12; value++) await (await submitter.submit(echo, value)).result(waiting)
  const late = await Promise.all(
    [0, 1, 2, 3, 4, 5, 6, 7].map((value) => submitter.submit(echo, value, { delayMs: 50.5 })),
  )
  expect(await Promise.all(late.map((run) => run.result(waiting)))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
})

test('keys of timers are in the order of their times, whatever these are', () => {
  const keys = new RunKeys('p', 1)
  const times = [-1e300, -5, 0, 0.5, 1, 1_767_225_600_000.25, 1_767_225_600_001.25, LATEST_MS, 1e300, Infinity]
  const made = times.map((time) => keys.timer(time, 'd/0'))
  expect([...made].sort()).toEqual(made)
  expect(made.map(dueOf)).toEqual([
    0,
    0,
    0,
    1,
    1,
    1_767_225_600_001,
    1_767_225_600_002,
    LATEST_MS,
    LATEST_MS,
    LATEST_MS,
  ])
})

test('a delay beyond all time is kept, and holds up nobody', async () => {
  const { tasks, worker, client, rows } = system()
  const never = tasks.bind(
    'never',
    (): number => {
      throw new RetryAfterError('come back later', 1e300)
    },
    { retry: { maxRetries: 1 } },
  )
  const echo = tasks.bind('echo', (value: number) => value)
  await worker()
  const submitter = client()
  const run = await submitter.submit(never.send(), { id: 'n' })
  await eventually(async () => expect((await run.status()).attempts).toBe(1))
  expect((await rows('T/')).map(dueOf)).toEqual([LATEST_MS])
  const late = await Promise.all(
    [0, 1, 2, 3, 4, 5, 6, 7].map((value) => submitter.submit(echo, value, { delayMs: 20 })),
  )
  expect(await Promise.all(late.map((run) => run.result(waiting)))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
})

test('a clock that jumps ahead is not believed, and no alarm is set for a time that does not come', async () => {
  const clock = virtualClock()
  let jumpMs = 0
  const time = new PartitionClock({ ...clock, now: () => clock.now() + jumpMs }, silentLogger, 0)
  time.committed(time.now())
  const before = time.now()
  jumpMs = 3_600_000
  expect(time.now()).toBe(before)
  expect(time.until(before + 500)).toBe(500)
  await clock.advance(400)
  expect(time.until(before + 500)).toBe(100)
})

test('nor is one that jumps before the first commit of a session', () => {
  const clock = virtualClock()
  let jumpMs = 0
  const time = new PartitionClock({ ...clock, now: () => clock.now() + jumpMs }, silentLogger, 0)
  time.setStoreTime(clock.now())
  const before = time.now()
  jumpMs = 3_600_000
  expect(time.now()).toBe(before)
})

test('a clock that is set back stops no timer', async () => {
  const clock = virtualClock()
  let jumpMs = 0
  const time = new PartitionClock({ ...clock, now: () => clock.now() + jumpMs }, silentLogger, 0)
  time.committed(time.now())
  const before = time.now()
  jumpMs = -600_000
  expect(time.now()).toBe(before)
  await clock.advance(400)
  expect(time.now()).toBe(before + 400)
  expect(time.until(before + 500)).toBe(100)
})

test.each([
  ['retentionMs', { retentionMs: -1 }],
  ['retentionMs', { retentionMs: Number.NaN }],
  ['retentionMs', { retentionMs: Infinity }],
  ['delayMs', { delayMs: 1e300 }],
  ['delayMs', { delayMs: Number.NaN }],
  ['runAt', { runAt: new Date(Number.NaN) }],
  ['runAt', { runAt: 8.64e15 }],
  ['delayMs or runAt', { delayMs: 1, runAt: 1 }],
])('%s is refused by name: %o', async (name, options) => {
  const { tasks, client } = system()
  const echo = tasks.bind('echo', (value: number) => value)
  await expect(client().submit(echo, 1, options)).rejects.toMatchObject({
    code: 'TASKS_OPTIONS',
    message: expect.stringContaining(name) as string,
  })
})

test('however many timers are set, few are in memory, and each is due in its turn', async () => {
  const rows = new Map<RowKey, Bytes>()
  const timers = new Timers()
  const scan: ScanRows = async (_, after, limit) =>
    [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .filter(([key]) => after === undefined || key > after)
      .slice(0, limit)
  await timers.restore(scan)
  const keys = Array.from({ length: 30_000 }, (_, index) =>
    new RunKeys(`p${index}`, 1).timer((index * 7_919) % 30_011, 'e'),
  )
  for (const key of keys) {
    const row: TimerRow = { kind: 'expire', id: 'p', run: 'r' }
    rows.set(key, encodeRow(key, row))
    timers.added(key, row)
  }
  const due: RowKey[] = []
  for (;;) {
    await timers.refill(scan)
    const now = timers.due(Infinity, Infinity)
    if (now.length === 0) break
    expect(now.length).toBeLessThanOrEqual(10_000)
    for (const { key } of now) {
      due.push(key)
      rows.delete(key)
    }
  }
  expect(due).toEqual([...keys].sort())
})
