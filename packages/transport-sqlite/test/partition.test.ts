import type { Space } from '@tasks/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { chooseDriver } from '../src/driver'
import { transportOf } from '../src/transport'
import { FaultyDriver } from './support/faulty-driver'
import { newPath } from './support/folder'

const SQLITE_IOERR = 10

function own(space: Space): ReadonlySet<number> {
  const owned = new Set<number>()
  const stop = new AbortController()
  const running = space.own({ leaseMs: 2_000 }).run(async ({ partition, lost }) => {
    owned.add(partition)
    await new Promise((resolve) => lost.addEventListener('abort', resolve))
    owned.delete(partition)
  }, stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
  })
  return owned
}

test.each([
  ['and was not stored', false],
  ['though it was stored', true],
])('hosts whose first heartbeat failed at COMMIT, %s, get numbers of their own, and share', async (_, applied) => {
  const path = newPath()
  const open = async (): Promise<Space> => {
    const driver = new FaultyDriver()
    const transport = transportOf({ path }, driver)
    onTestFinished(() => transport.close())
    const space = await transport.open({ namespace: 'n' })
    driver.fail({ having: /INSERT INTO host/, applied, errcode: SQLITE_IOERR })
    return space
  }
  const spaces = [await open(), await open()]
  const owned = spaces.map(own)
  await vi.waitFor(() => expect(owned.map(({ size }) => size)).toEqual([8, 8]), { timeout: 30_000, interval: 50 })
  const db = chooseDriver().open(path)
  onTestFinished(() => db.close())
  expect(db.prepare('SELECT count(DISTINCT process) AS n FROM host').get()).toEqual({ n: 2 })
})
