import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Database } from '../src/driver'
import { chooseDriver } from '../src/driver'
import { newPath } from './support/folder'
import { startPeer } from './support/peer'

const ROUNDS = process.env['TASKS_TIER'] === 'all' ? 50 : 8

test(`what was called stored survives kill -9, in ${ROUNDS} rounds`, { timeout: ROUNDS * 10_000 }, async () => {
  const path = newPath()
  const sent = new Set<string>()
  const committed = new Map<number, number>()
  for (let round = 0; round < ROUNDS; round++) {
    const outputs = await Promise.all([0, 1].map((i) => killed(path, round * 2 + i)))
    const lines = outputs.flatMap((output) => output.slice(0, output.lastIndexOf('\n')).split('\n'))
    for (const line of lines) {
      const [what, first, second] = line.split(' ')
      if (what === 'send') sent.add(first!)
      if (what === 'commit') committed.set(Number(first), Math.max(committed.get(Number(first)) ?? 0, Number(second)))
    }
    verify(path, sent, committed)
  }
  console.log(
    `${sent.size} sends and ${[...committed.values()].reduce((a, b) => a + b, 0)} commits were answered, in ${ROUNDS} rounds; none was lost`,
  )
  expect(sent.size).toBeGreaterThan(ROUNDS * 10)
  expect(committed.size).toBeGreaterThan(0)
})

/** Lets a process work for a while and kills it; answers what it had said. */
async function killed(path: string, round: number): Promise<string> {
  const peer = await startPeer(path)
  await peer.call('open', 'n')
  const log = `${path}.${round}.log`
  await peer.call('chatter', round, log)
  const until = performance.now() + 3000
  while (!readFileSync(log, 'utf8').includes('commit') && performance.now() < until) await sleep(5)
  await sleep(Math.random() * 150)
  peer.kill('SIGKILL')
  await peer.exited
  return readFileSync(log, 'utf8')
}

function verify(path: string, sent: ReadonlySet<string>, committed: ReadonlyMap<number, number>): void {
  const db = chooseDriver().open(path)
  try {
    expect(select(db, 'PRAGMA integrity_check', 'integrity_check')).toEqual(['ok'])
    const stored = new Set([...select(db, 'SELECT id FROM message', 'id'), ...select(db, 'SELECT id FROM inbox', 'id')])
    expect([...sent].filter((id) => !stored.has(id))).toEqual([])
    for (const { number, slot, seq } of db.prepare('SELECT number, slot, seq FROM partition').all() as {
      number: number
      slot: number
      seq: number
    }[]) {
      expect(seq).toBeGreaterThanOrEqual(committed.get(number) ?? 0)
      // A commit is there whole or not at all: its row, and its send.
      const sends = [...stored].filter((id) => id.startsWith(`c${number}.`)).map((id) => Number(id.split('.')[1]))
      expect(sends.length).toBe(seq)
      expect(Math.max(0, ...sends)).toBe(seq)
      const rows = db.prepare('SELECT CAST(value AS TEXT) AS value FROM row WHERE slot = ?').all(slot) as {
        value: string
      }[]
      expect(Math.max(0, ...rows.map(({ value }) => Number(value)))).toBe(seq)
    }
  } finally {
    db.close()
  }
}

function select(db: Database, sql: string, column: string): string[] {
  return (db.prepare(sql).all() as Record<string, string>[]).map((row) => row[column]!)
}
