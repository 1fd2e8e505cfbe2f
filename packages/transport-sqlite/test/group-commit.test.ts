import type { Clock } from '@tasks/core/adapter'
import { systemClock, TaskError } from '@tasks/core/adapter'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { chooseDriver } from '../src/driver'
import type { Write } from '../src/group-commit'
import type { Group } from '../src/group-commit'
import { FaultyDriver } from './support/faulty-driver'
import { openGroup } from './support/group'

const SQLITE_IOERR = 10

const INSERT = 'INSERT INTO queue VALUES (?, 1, ?)'

function names(group: Group): unknown[] {
  return group.all('SELECT name FROM queue ORDER BY id').map(({ name }) => name)
}

describe('group commit', () => {
  test('makes one transaction of what is asked for in one turn', async () => {
    const driver = new FaultyDriver()
    // However slow the machine is: a transaction also ends when it has taken long enough.
    const { group } = await openGroup({ driver, clock: { ...systemClock, monotonic: () => 0 } })
    const before = driver.commits
    await Promise.all(Array.from({ length: 50 }, (_, i) => group.write((write) => write.run(INSERT, i, `q${i}`))))
    expect(driver.commits - before).toBe(1)
    await group.write((write) => write.run(INSERT, 50, 'q50'))
    expect(driver.commits - before).toBe(2)
    expect(names(group).length).toBe(51)
  })

  test('settles nothing before the commit', async () => {
    const driver = new FaultyDriver()
    const { group } = await openGroup({ driver })
    driver.fail({ having: /INSERT INTO queue/, applied: false, errcode: SQLITE_IOERR })
    const outcomes = await Promise.allSettled([0, 1].map((i) => group.write((write) => write.run(INSERT, i, `q${i}`))))
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(names(group)).toEqual([])
  })

  test('fails a write alone that refuses before it writes', async () => {
    const driver = new FaultyDriver()
    const { group } = await openGroup({ driver })
    const before = driver.commits
    const refuse = (): never => {
      throw new TaskError('TASKS_FENCED', 'no')
    }
    const outcomes = await Promise.allSettled([
      group.write((write) => write.run(INSERT, 1, 'a')),
      group.write(refuse),
      group.write((write) => write.run(INSERT, 2, 'b')),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(driver.commits - before).toBe(1)
    expect(names(group)).toEqual(['a', 'b'])
  })

  test('fails a write alone that SQLite refuses half-way, and undoes what it did in memory', async () => {
    const { group } = await openGroup()
    const undone: string[] = []
    const insert = (id: number, name: string): Promise<unknown> =>
      group.write((write) => {
        write.undo(() => undone.push(name))
        write.run(INSERT, id, name)
      })
    const outcomes = await Promise.allSettled([insert(1, 'a'), insert(1, 'same id'), insert(2, 'b')])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(names(group)).toEqual(['a', 'b'])
    // Both of the first attempt, and the one that failed again by itself.
    expect(undone).toEqual(['same id', 'a', 'same id'])
  })

  test('draws numbers that were never drawn before, whatever was rolled back', async () => {
    const { group } = await openGroup()
    const first = await group.write((write) => write.draw(3))
    const failing = group.write((write) => {
      write.draw(5)
      write.run('INSERT INTO nowhere VALUES (1)')
    })
    await expect(failing).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    const [second, third] = await Promise.all([
      group.write((write) => write.draw(2)),
      group.write((write) => write.draw(1)),
    ])
    expect([first, second, third]).toEqual([1, 4, 6])
  })

  test('waits for another writer without holding up the event loop', async () => {
    const { group, path } = await openGroup()
    const other = chooseDriver().open(path)
    onTestFinished(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    const writing = group.write((write) => write.run(INSERT, 1, 'late'))
    // If it waited in SQLite, the turns of the event loop would stop, and with them what ends the other's transaction.
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(names(group)).toEqual([])
    other.exec('COMMIT')
    await writing
    expect(names(group)).toEqual(['late'])
  })

  test('makes room between its commits for a process that asks, and no more than now and then', async () => {
    let pauses = 0
    let now = 1000
    const clock: Clock = {
      ...systemClock,
      monotonic: () => now,
      after: (ms, fn, options) => {
        pauses++
        return systemClock.after(ms, fn, options)
      },
    }
    const { group } = await openGroup({ clock })
    const commit = (i: number): Promise<unknown> => group.write((write) => write.run(INSERT, i, `q${i}`))
    await commit(0)
    expect(pauses).toBe(0)
    group.makeRoom()
    await commit(1)
    expect(pauses).toBe(1)
    group.makeRoom()
    now += 4
    await commit(2)
    expect(pauses).toBe(1)
    now += 1
    await commit(3)
    await commit(4)
    expect(pauses).toBe(2)
  })

  test('gives up on a writer that never ends, with nothing stored', async () => {
    // A thousand times as fast.
    const clock = { ...systemClock, monotonic: () => performance.now() * 1000 }
    const { group, path } = await openGroup({ clock })
    const other = chooseDriver().open(path)
    onTestFinished(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    const error: unknown = await group.write((write) => write.run(INSERT, 1, 'never')).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'TASKS_UNAVAILABLE', details: { path, applied: 'no' } })
    other.exec('COMMIT')
    await group.write((write) => write.run(INSERT, 1, 'later'))
    expect(names(group)).toEqual(['later'])
  })

  test('gives each write its own time, in which it does not count what the process has slept', async () => {
    let now = 0
    const tries: (() => void)[] = []
    const clock: Clock = {
      ...systemClock,
      monotonic: () => now,
      soon: (fn) => void tries.push(fn),
      after: (_, fn) => (tries.push(fn), () => {}),
    }
    const { group, path } = await openGroup({ clock })
    const other = chooseDriver().open(path)
    onTestFinished(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    const over: string[] = []
    const ask = (name: string): void => {
      const writing = group.write((write) => write.run(INSERT, name.length, name))
      writing.then(
        () => over.push(`${name} stored at ${now}`),
        () => over.push(`${name} given up at ${now}`),
      )
    }
    const pass = async (ms: number, step = 100): Promise<void> => {
      for (const end = now + ms; now < end;) {
        now += step
        tries.shift()!()
        await Promise.resolve()
      }
    }
    ask('a')
    await pass(100)
    await pass(9_000)
    ask('bb')
    await pass(5_000)
    // Stopped, and continued.
    await pass(60_000, 60_000)
    other.exec('COMMIT')
    await pass(100)
    expect(over).toEqual(['a given up at 10100', 'bb stored at 74200'])
  })

  test('asks less often for a lock that is held for long', async () => {
    let now = 0
    const pauses: number[] = []
    const clock: Clock = {
      ...systemClock,
      monotonic: () => now,
      after: (ms, fn) => {
        pauses.push(ms)
        now += ms
        return systemClock.after(0, fn)
      },
    }
    const { group, path } = await openGroup({ clock })
    const other = chooseDriver().open(path)
    onTestFinished(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    await expect(group.write((write) => write.run(INSERT, 1, 'never'))).rejects.toMatchObject({
      code: 'TASKS_UNAVAILABLE',
    })
    expect(pauses[0]).toBe(1)
    expect(Math.max(...pauses)).toBe(50)
    expect(pauses.length).toBeLessThan(300)
  })

  test('says of a failed COMMIT, and of nothing else, that its outcome is not known', async () => {
    const driver = new FaultyDriver()
    const { group } = await openGroup({ driver })
    driver.fail({ having: /INSERT INTO queue/, applied: true, errcode: SQLITE_IOERR })
    await expect(group.write((write) => write.run(INSERT, 1, 'a'))).rejects.toMatchObject({
      details: { applied: 'unknown' },
    })
    await expect(group.write((write) => write.run(INSERT, 1, 'a'))).rejects.toMatchObject({
      details: { applied: 'no' },
    })
  })

  test('stores once what is followed by a bug, which is thrown in a turn of its own', async () => {
    const bug = new Error('a bug behind the commit')
    const thrown: unknown[] = []
    const soon: Clock['soon'] = (fn) =>
      systemClock.soon(() => {
        try {
          fn()
        } catch (error) {
          thrown.push(error)
        }
      })
    const { group } = await openGroup({ clock: { ...systemClock, soon } })
    const applied: string[] = []
    const informed: string[] = []
    const insert = (id: number, name: string, after: () => void): Promise<unknown> =>
      group.write((write) => {
        applied.push(name)
        write.run(INSERT, id, name)
        write.after(after)
      })
    const fail = (): never => {
      throw bug
    }
    await Promise.all([insert(1, 'a', fail), insert(2, 'b', () => informed.push('b'))])
    expect([applied, informed, names(group)]).toEqual([['a', 'b'], ['b'], ['a', 'b']])
    await vi.waitFor(() => expect(thrown).toEqual([bug]))
  })

  test('goes on after a ROLLBACK that failed, with nothing of what was to be rolled back', async () => {
    const driver = new FaultyDriver()
    const { group } = await openGroup({ driver })
    driver.failRollbacks(1)
    const failing = group.write((write) => {
      write.run(INSERT, 1, 'a')
      write.run(INSERT, 1, 'same id')
    })
    await expect(failing).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    expect(names(group)).toEqual([])
    driver.failRollbacks(2)
    const again = group.write((write) => {
      write.run(INSERT, 1, 'a')
      write.run(INSERT, 1, 'same id')
    })
    await expect(again).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
    await expect(group.write((write) => write.run(INSERT, 1, 'b'))).rejects.toMatchObject({
      details: { applied: 'no' },
    })
    await group.write((write) => write.run(INSERT, 1, 'c'))
    expect(names(group)).toEqual(['c'])
  })

  test('waits for the disk where something is promised, and only there', async () => {
    const [NORMAL, FULL] = [1, 2]
    const driver = new FaultyDriver()
    // However slow the machine is: what is asked for in one turn is one transaction.
    const { group } = await openGroup({ driver, clock: { ...systemClock, monotonic: () => 0 } })
    let id = 0
    const insert = (write: Write): unknown => write.run(INSERT, ++id, `q${id}`)
    const clash = (write: Write): unknown => write.run(INSERT, 1, 'same id')
    const synced = async (...asked: (() => Promise<unknown>)[]): Promise<readonly number[]> => {
      driver.synchronous.length = 0
      await Promise.allSettled(asked.map((ask) => ask()))
      return [...driver.synchronous]
    }
    const promise = (): Promise<unknown> => group.write(insert)
    const note = (): Promise<unknown> => group.note(insert)
    expect(await synced(promise)).toEqual([FULL])
    expect(await synced(note)).toEqual([NORMAL])
    expect(await synced(promise, note)).toEqual([FULL])
    expect(await synced(note, promise)).toEqual([FULL])
    expect(await synced(note, () => group.note(clash), promise)).toEqual([NORMAL, FULL])
    expect(await synced(promise, () => group.note(clash), note)).toEqual([FULL, NORMAL])
  })

  test('never waits for the disk with synchronous=normal', async () => {
    const driver = new FaultyDriver()
    const { group } = await openGroup({ driver, synchronous: 'normal' })
    await group.note((write) => write.run(INSERT, 1, 'a'))
    await group.write((write) => write.run(INSERT, 2, 'b'))
    expect(driver.synchronous).toEqual([1, 1])
  })

  test('rejects what waits when it is closed, and everything after that', async () => {
    const { group } = await openGroup()
    const waiting = group.write((write) => write.run(INSERT, 1, 'a'))
    group.close(new TaskError('TASKS_CLOSED', 'closed'), () => {})
    await expect(waiting).rejects.toMatchObject({ code: 'TASKS_CLOSED' })
    await expect(group.write(() => {})).rejects.toMatchObject({ code: 'TASKS_CLOSED' })
    expect(() => group.get('SELECT 1')).toThrow('closed')
  })
})
