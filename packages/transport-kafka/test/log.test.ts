// A log that is read to its end, and what becomes of a reader whom others leave behind.
import { Lifetime, systemClock, TaskError } from '@tasks/core/adapter'
import { expect, onTestFinished, test } from 'vitest'
import { Log } from '../src/log'
import { CutLog } from './support/cut-log'

function newLog(log: CutLog, onValue: (value: string) => void = () => {}) {
  const { driver, follower } = log.driver()
  const lifetime = new Lifetime(systemClock)
  onTestFinished(() => lifetime.end(new TaskError('TASKS_CLOSED', 'the test is over')))
  let seen: string[] = []
  const reader = new Log({
    driver,
    lifetime,
    place: log.place,
    onBegin: (start) => (seen = [`from ${start}`]),
    onRecord: ({ value }) => {
      onValue(String(value))
      seen.push(String(value))
    },
  })
  return { reader, follower, seen: () => seen }
}

test('a reader that falls behind the start of a log begins anew, and so does one whose end is lost', async () => {
  const log = new CutLog()
  for (const value of ['a', 'b', 'c']) log.append(Buffer.from(value))
  const { reader, follower, seen } = newLog(log)
  await reader.started()
  expect(seen()).toEqual(['from 0', 'a', 'b', 'c'])
  const lagging = follower()
  lagging.isHeld = true
  for (const value of ['d', 'e', 'f']) log.append(Buffer.from(value))
  log.cut(5)
  log.release(lagging)
  await reader.until(6)
  expect(seen()).toEqual(['from 5', 'f'])

  follower().isHeld = true
  log.loseFrom(5)
  log.append(Buffer.from('g'))
  follower().next = 5
  log.release(follower())
  await expect.poll(seen).toEqual(['from 5', 'g'])
})

test('a record that cannot be read is not passed over: who waits is told which, until it is gone', async () => {
  const log = new CutLog()
  const { reader, seen } = newLog(log, (value) => {
    if (value === 'foreign') throw new SyntaxError('no JSON')
  })
  await reader.started()
  const waiting = reader.until(2)
  log.append(Buffer.from('a'))
  log.append(Buffer.from('foreign'))
  log.append(Buffer.from('b'))
  const refusal = { code: 'TASKS_STORE_FOREIGN', message: 'record 1 of log/0 cannot be read: no JSON' }
  await expect(waiting).rejects.toMatchObject(refusal)
  await expect(reader.started()).rejects.toMatchObject(refusal)
  expect(seen()).toEqual(['from 0', 'a'])
  log.cut(2)
  await reader.started()
  expect(seen()).toEqual(['from 2', 'b'])
})
