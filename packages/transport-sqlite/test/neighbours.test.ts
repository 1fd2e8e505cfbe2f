import { systemClock, thisProcess, type ProcessIdentity } from '@tasks/core/adapter'
import { expect, test } from 'vitest'
import { Mail } from '../src/mail'
import { Neighbours } from '../src/neighbours'
import type { Synchronous } from '../src/schema'
import { openGroup } from './support/group'

const HOUR_MS = 3_600_000
const NOW = Date.now()

async function setup() {
  let now = NOW
  const clock = { ...systemClock, now: () => now }
  const { group, path } = await openGroup({ clock })
  const open = (synchronous: Synchronous) => openGroup({ clock, path, synchronous })
  const join = (identity: Partial<ProcessIdentity>) => Neighbours.join(group, clock, { ...thisProcess(), ...identity })
  const ids = (): unknown[] => group.all('SELECT id FROM process ORDER BY id').map(({ id }) => id)
  return { clock, group, open, join, ids, pass: (ms: number) => void (now += ms) }
}

test('whoever had the file open before the machine started is gone at once, though the clock was set back by an hour', async () => {
  const { join, ids, pass } = await setup()
  const { machine, boot } = thisProcess()
  await join({ machine: machine.replace(boot, 'earlier'), boot: 'earlier' })
  const container = await join({ machine: 'container its-own', boot: 'its-own' })
  pass(-HOUR_MS)
  const me = await join({})
  me.check()
  await expect.poll(ids).toEqual([container.id, me.id])
})

test('of another container only silence can tell, and of this process, too', async () => {
  const { join, ids, pass } = await setup()
  const others = [await join({ machine: 'another container' }), await join({})]
  const me = await join({})
  me.check()
  pass(59_000)
  me.check()
  await expect.poll(ids).toEqual([...others.map(({ id }) => id), me.id])
  pass(2_000)
  me.check()
  await expect.poll(ids).toEqual([me.id])
})

test('a process whose number this one has got is gone', async (context) => {
  if (thisProcess().started === '') context.skip('this system does not say when a process started')
  const { join, ids } = await setup()
  await join({ started: '1' })
  const me = await join({})
  me.check()
  await expect.poll(ids).toEqual([me.id])
})

test('replies for a process that reads no more go after a minute, two for each that comes; what is left is read in pages', async () => {
  const { clock, group, join, pass } = await setup()
  const [reader, writer] = [await join({}), await join({})]
  const [inbox, outbox] = [new Mail(group, clock, reader.id), new Mail(group, clock, writer.id)]
  const heard: number[] = []
  const { address } = inbox.open((body) => void heard.push(body[0]!))
  const reply = (value: number): Promise<unknown> =>
    group.note((write) => outbox.reply(write, write.draw(1), address, Uint8Array.of(value)))
  const count = (): unknown => group.get('SELECT count(*) AS n FROM reply')!['n']
  for (let i = 0; i < 250; i++) await reply(0)
  expect(count()).toBe(250)
  pass(60_001)
  for (let i = 0; i < 125; i++) await reply(1)
  expect(count()).toBe(125)
  for (let i = 0; i < 100; i++) await reply(2)
  expect(count()).toBe(225)
  inbox.look()
  await expect.poll(() => heard.length).toBe(225)
  expect(heard).toEqual([...Array(125).fill(1), ...Array(100).fill(2)])
})

test('a position that a power cut may have taken back is not given again, where commits do not wait for the disk', async () => {
  const { group, open } = await setup()
  const counter = (): number => group.get('SELECT value FROM counter')!['value'] as number
  const before = counter()
  await open('full')
  expect(counter()).toBe(before)
  await open('normal')
  expect(counter()).toBe(before + 2 ** 20)
})
