// A codec whose bytes are no text, as one that compresses or encrypts would give.
import { expect, test } from 'vitest'
import type { Codec } from '../src/codec'
import { taskContext } from '../src/context'
import { jsonCodec } from '../src/json-codec'
import { inParallel } from '../src/pipeline'
import { spread } from '../src/spread'
import { NAMESPACE, PATIENCE_MS, eventually, system } from './support/system'

const waiting = { timeoutMs: PATIENCE_MS }
const KEY = 0xa5

const json = jsonCodec()
const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ KEY)
const secret: Codec = {
  name: 'secret',
  text: false,
  encode: (value) => flip(json.encode(value)),
  decode: (bytes) => json.decode(flip(bytes)),
}

const MARK = 'the plans'

test.each([true, false])(
  'values travel as a codec has made them, wherever they are kept (local lane: %s)',
  async (localLane) => {
    const { tasks, worker, client, connect, rows, blobs } = system({ transport: { maxMessageBytes: 65_536 } })
    let open = false
    const gate = tasks.bind(
      'gate',
      (text: string) => {
        if (!open) throw new Error('closed')
        return text
      },
      { retry: { maxRetries: 10_000, delayMs: 10, factor: 1 } },
    )
    const pair = tasks.bind('pair', (text: string) => spread(text, text.length))
    const join = tasks.bind('join', (text: string, length: number, own: string) => `${text}${length}${own}`)
    const fan = tasks.bind('fan', (text: string) => inParallel([gate.send(`${MARK} ${text}`), join.send('a', 1, 'b')]))
    const grow = tasks.bind('grow', (texts: string[]) => texts.join().repeat(2_000))
    await worker({ localLane, codec: secret })
    const submitter = client({ codec: secret })
    const run = await submitter.submit(
      gate
        .send(MARK)
        .continueWith(pair)
        .continueWith(join, MARK)
        .continueWith(fan)
        .continueWith(grow)
        .continueWith(gate),
      { id: 'p' },
    )
    const stored = async (): Promise<Buffer> => {
      const space = await connect().open({ namespace: NAMESPACE })
      const keys = await rows('')
      const values = await Promise.all(
        Array.from({ length: space.partitions }, (_, partition) => space.reader!.load(partition, keys)),
      )
      const pages = (await blobs()).map(async (key) => {
        const parts: Uint8Array[] = []
        for (let page: Uint8Array | undefined; (page = await space.blobs.get(key, parts.length)) !== undefined;)
          parts.push(page)
        return Buffer.concat(parts)
      })
      const parts = [...values.flat(), ...(await Promise.all(pages))]
      return Buffer.concat(parts.filter((part) => part !== undefined))
    }
    await eventually(async () => expect((await run.status()).attempts).toBeGreaterThan(1))
    const before = await stored()
    open = true
    const text = `${MARK} ${MARK}${MARK.length}${MARK},a1b`.repeat(2_000)
    expect((await run.result(waiting)) === text).toBe(true)
    for (const bytes of [before, await stored()]) {
      expect(bytes.length).toBeGreaterThan(0)
      expect([bytes.includes(MARK), bytes.includes(Buffer.from(MARK).toString('base64'))]).toEqual([false, false])
    }
  },
)

test('a lone task that is tried again, and a dead letter that is redriven, keep their arguments', async () => {
  const { tasks, worker, client } = system()
  let broken = true
  const seen: unknown[] = []
  const task = tasks.bind(
    'task',
    (value: Map<string, number>, text: string) => {
      seen.push([taskContext().attempt, value.get('ü'), text])
      if (broken) throw new Error('broken')
    },
    { retry: { maxRetries: 1, delayMs: 1 } },
  )
  await worker({ codec: secret })
  const sender = client({ codec: secret })
  await sender.enqueue(task.send(new Map([['ü', 7]]), 'x'))
  const [letter] = await eventually(async () => {
    const letters = await sender.deadLetters.list()
    expect(letters).toHaveLength(1)
    return letters
  })
  broken = false
  await sender.deadLetters.redrive(letter!.id)
  await eventually(() => expect(seen).toHaveLength(3))
  expect(seen).toEqual([
    [1, 7, 'x'],
    [2, 7, 'x'],
    [1, 7, 'x'],
  ])
})

test('a worker whose codec cannot read an argument fails the task for good, and says so', async () => {
  const { tasks, worker, client } = system()
  const echo = tasks.bind('echo', (value: string) => value, { retry: { maxRetries: 5, delayMs: 1 } })
  await worker()
  const run = await client({ codec: secret }).submit(echo, 'x')
  await expect(run.result(waiting)).rejects.toMatchObject({
    code: 'TASKS_UNDECODABLE',
    task: { name: 'echo', attempt: 1 },
  })
})
