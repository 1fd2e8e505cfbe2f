// What is larger than a message of the transport: arguments, results, and the results of large groups.
import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import { eventually, PATIENCE_MS, system } from '../support/system'

const LIMIT = { transport: { maxMessageBytes: 64 << 10 } }
const MIB = 1 << 20
const waiting = { timeoutMs: 4 * PATIENCE_MS }

/** Text of so many bytes in which no two pages are alike. */
function textOf(bytes: number, seed: number): string {
  const line = (at: number): string => `${seed}:${String(at).padStart(30, '.')}\n`
  const length = line(0).length
  return Array.from({ length: Math.ceil(bytes / length) }, (_, at) => line(at))
    .join('')
    .slice(0, bytes)
}

test.each([
  ['handed over by their owner', true],
  ['taken from the queue', false],
])(
  'an argument and a result of 20 MiB pass messages of 64 KiB, %s',
  async (_, localLane) => {
    const { tasks, worker, client } = system(LIMIT)
    const text = textOf(20 * MIB, 1)
    const turn = tasks.bind('turn', (given: string, seed: number) => {
      if (given !== text) throw new Error('another text has come')
      return textOf(20 * MIB, seed)
    })
    const look = tasks.bind('look', (given: string) => given === textOf(20 * MIB, 2) && given.length)
    await worker({ localLane })
    const submitter = client()
    // From the client to a task, from a task to the next one, and from a task to the client.
    const passed = await submitter.submit(turn.send(text, 2).continueWith(look))
    const returned = await submitter.submit(turn.send(text, 3))
    expect(await passed.result(waiting)).toBe(20 * MIB)
    expect((await returned.result(waiting)) === textOf(20 * MIB, 3)).toBe(true)
    const alone = await submitter.enqueue(turn.send(text, 4), { reply: true })
    expect((await alone.result(waiting)) === textOf(20 * MIB, 4)).toBe(true)
  },
  120_000,
)

test('each chain of a group gets the large value that comes before it', async () => {
  const { tasks, worker, client } = system(LIMIT)
  const make = tasks.bind('make', (bytes: number) => textOf(bytes, 5))
  const part = tasks.bind('part', (text: string, from: number) => text.slice(from, from + 40))
  for (const localLane of [true, false]) await worker({ localLane })
  const froms = Array.from({ length: 200 }, (_, index) => 5_000 * index)
  const run = await client().submit(make.send(2 * MIB).continueWith(inParallel(froms.map((from) => part.after(from)))))
  const text = textOf(2 * MIB, 5)
  expect(await run.result(waiting)).toEqual(froms.map((from) => text.slice(from, from + 40)))
}, 120_000)

const FEWER = process.env['TASKS_TIER'] === 'all' ? 250_000 : 25_000

test.each([
  [250_000, 'handed over by their owner', true],
  [FEWER, 'taken from the queue', false],
])(
  'the results of %i children, %s, pass messages of 64 KiB',
  async (count, _, localLane) => {
    const { tasks, worker, client, rows } = system(LIMIT)
    const square = tasks.bind('square', (value: number) => value * value)
    const check = tasks.bind(
      'check',
      (squares: number[]) => squares.every((each, index) => each === index * index) && squares.length,
    )
    await worker({ localLane, concurrency: 100, leaseMs: 10_000 })
    const children = Array.from({ length: count }, (__, value) => square.send(value))
    const run = await client().submit(inParallel(children).continueWith(check))
    expect(await run.result(waiting)).toBe(count)
    expect(await run.progress()).toEqual({ done: count + 1, total: count + 1 })
    await eventually(async () => expect(await rows('P')).toEqual([]))
  },
  300_000,
)
