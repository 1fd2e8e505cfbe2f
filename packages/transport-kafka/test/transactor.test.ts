// What brokers answer to an owner, by a broker that answers what the test says.
import { systemClock } from '@tasks/core/adapter'
import type { TestContext } from 'vitest'
import { expect, test } from 'vitest'
import type { KafkaDriver } from '../src/driver'
import { driverOn } from '../src/protocol/driver'

const BUSY = 51
const MOVED = 16
const FENCED = 90
const INIT_PRODUCER_ID = 22
const ADD_PARTITIONS = 24
const END_TXN = 26
const TOPIC = 't'

/** Codes that are answered to a request, one after the other, then none; "cut" is a connection that breaks. */
type Script = Readonly<Record<number, readonly (number | 'cut')[]>>

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
function string(text: string): Buffer {
  return Buffer.concat([int16(text.length), Buffer.from(text)])
}
const NONE = int16(-1)
const INT64 = Buffer.alloc(8)
const THROTTLE = int32(0)

function answerTo(key: number, code: number): Buffer {
  switch (key) {
    // Produce: one topic of one partition.
    case 0:
      return Buffer.concat([int32(1), string(TOPIC), int32(1), int32(0), int16(code), INT64, INT64])
    // Metadata: one broker, which leads that partition.
    case 3:
      return Buffer.concat([
        THROTTLE,
        Buffer.concat([int32(1), int32(7), string('broker'), int32(9092), NONE, NONE, int32(7)]),
        Buffer.concat([int32(1), int16(0), string(TOPIC), Buffer.of(0), int32(1)]),
        Buffer.concat([int16(0), int32(0), int32(7), int32(1), int32(7), int32(1), int32(7)]),
      ])
    // FindCoordinator
    case 10:
      return Buffer.concat([THROTTLE, int16(code), NONE, int32(7), string('broker'), int32(9092)])
    case INIT_PRODUCER_ID:
      return Buffer.concat([THROTTLE, int16(code), INT64, int16(3)])
    case ADD_PARTITIONS:
      return Buffer.concat([THROTTLE, int32(1), string(TOPIC), int32(1), int32(0), int16(code)])
    case END_TXN:
      return Buffer.concat([THROTTLE, int16(code)])
    default:
      throw new Error(`what is ${key}?`)
  }
}

function scripted(ctx: TestContext, script: Script) {
  const asked: number[] = []
  const rests: number[] = []
  const left = new Map(Object.entries(script).map(([key, codes]) => [Number(key), [...codes]]))
  // Time passes as it does: what is waited for is written down.
  const clock = {
    ...systemClock,
    after: (...args: Parameters<typeof systemClock.after>) => (rests.push(args[0]), systemClock.after(...args)),
  }
  const driver = driverOn({
    clock,
    patienceMs: 10_000,
    client: {
      brokers: () => Promise.resolve(['broker:9092']),
      connect: () =>
        Promise.resolve({
          send({ key }) {
            asked.push(key)
            const code = left.get(key)?.shift() ?? 0
            return code === 'cut' ? Promise.reject(new Error('it was cut')) : Promise.resolve(answerTo(key, code))
          },
          destroy: () => {},
        }),
    },
  })
  ctx.onTestFinished(() => driver.close())
  return { driver, rests, count: (key: number) => asked.filter((each) => each === key).length }
}

async function commit(driver: KafkaDriver): Promise<unknown> {
  const transactor = await driver.takeOver('id')
  return transactor.transact([{ topic: TOPIC, partition: 0, records: [{ key: null, value: Buffer.of(1) }] }])
}

test('a broker that has not ended the transaction before is asked again after a millisecond or two', async (ctx) => {
  const { driver, rests, count } = scripted(ctx, { [ADD_PARTITIONS]: [BUSY, BUSY] })
  await commit(driver)
  expect(count(ADD_PARTITIONS)).toBe(3)
  // The others are the times in which calls have to be answered.
  expect(rests.filter((ms) => ms < 1_000)).toEqual([1, 1.5])
})

test('an end that the coordinator may have written is in doubt, whatever is answered then', async (ctx) => {
  const unknown = { code: 'TASKS_UNAVAILABLE', details: { applied: 'unknown' } }
  await expect(commit(scripted(ctx, { [END_TXN]: [MOVED, FENCED] }).driver)).rejects.toMatchObject(unknown)
  await expect(commit(scripted(ctx, { [END_TXN]: [MOVED, BUSY, FENCED] }).driver)).rejects.toMatchObject(unknown)
  await expect(commit(scripted(ctx, { [END_TXN]: [MOVED, 'cut'] }).driver)).rejects.toMatchObject(unknown)
  await expect(commit(scripted(ctx, { [END_TXN]: [-1] }).driver)).rejects.toMatchObject(unknown)
  await expect(commit(scripted(ctx, { [END_TXN]: [MOVED, BUSY] }).driver)).resolves.toEqual([0])
})

test('an end that is refused at once is not stored, and what is said before the end never is', async (ctx) => {
  await expect(commit(scripted(ctx, { [END_TXN]: [FENCED] }).driver)).rejects.toMatchObject({ code: 'TASKS_FENCED' })
  await expect(commit(scripted(ctx, { [ADD_PARTITIONS]: [MOVED, FENCED] }).driver)).rejects.toMatchObject({
    code: 'TASKS_FENCED',
  })
})

test('nobody takes over for whom it is too late, however long the coordinator was busy', async (ctx) => {
  const { driver, count } = scripted(ctx, { [INIT_PRODUCER_ID]: Array<number>(1_000).fill(BUSY) })
  let wanted = 5
  await expect(driver.takeOver('id', () => wanted-- > 0)).rejects.toMatchObject({ code: 'TASKS_FENCED' })
  expect(count(INIT_PRODUCER_ID)).toBe(5)
})
