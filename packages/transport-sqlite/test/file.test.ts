import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SendOutcome, Space, Transport } from '@tasks/core'
import { systemClock, TaskError } from '@tasks/core/adapter'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Database, Driver } from '../src/driver'
import { chooseDriver } from '../src/driver'
import { sqliteTransport } from '../src/index'
import { APPLICATION_ID, openFile, SCHEMA_VERSION } from '../src/schema'
import { transportOf } from '../src/transport'
import { FaultyDriver } from './support/faulty-driver'
import { newFolder, newPath } from './support/folder'
import { startPeer } from './support/peer'

const body = new Uint8Array(100_000)

function use(transport: Transport): Transport {
  onTestFinished(() => transport.close())
  return transport
}

function open(path: string): Promise<Space> {
  return use(sqliteTransport({ path })).open({ namespace: 'n' })
}

async function refusal(path: string): Promise<TaskError> {
  const error: unknown = await open(path).catch((error: unknown) => error)
  if (!TaskError.is(error)) throw new Error(`it was not refused: ${String(error)}`)
  expect(error.message).toContain(path)
  return error
}

/** A file with 50 tasks, some 200 kB, that is garbage from there on. */
async function damaged(from: number): Promise<string> {
  const path = newPath()
  const transport = sqliteTransport({ path })
  const space = await transport.open({ namespace: 'n' })
  await space.send(
    Array.from({ length: 50 }, (_, i) => ({
      target: { to: 'task', queue: 'q' },
      id: `${i}`,
      body: new Uint8Array(3000),
    })),
  )
  await transport.close()
  const bytes = readFileSync(path)
  bytes.fill(0xa5, from)
  writeFileSync(path, bytes)
  return path
}

function sql<T>(path: string, use: (db: Database) => T): T {
  const db = chooseDriver().open(path)
  try {
    return use(db)
  } finally {
    db.close()
  }
}

describe('the file', () => {
  test('says whose it is, which format it has, and is in WAL mode', async () => {
    const path = newPath()
    const space = await open(path)
    await space.close()
    const pragma = (name: string): unknown =>
      sql(path, (db) => Object.values(db.prepare(`PRAGMA ${name}`).get() as object)[0])
    expect(pragma('application_id')).toBe(APPLICATION_ID)
    expect(pragma('user_version')).toBe(SCHEMA_VERSION)
    expect(pragma('journal_mode')).toBe('wal')
  })

  test('is not taken for a stranger by who looks while another process creates it', async () => {
    const path = newPath()
    const driver = chooseDriver()
    let created = 'not yet'
    const create = (): void => {
      const other = driver.open(path)
      try {
        other.exec(`BEGIN IMMEDIATE; CREATE TABLE first(id); PRAGMA application_id = ${APPLICATION_ID}; COMMIT`)
        created = 'done'
      } catch (error) {
        created = String(error)
      } finally {
        other.close()
      }
    }
    const looking: Driver = {
      ...driver,
      open: (file) => {
        const db = driver.open(file)
        return {
          exec: (statement) => db.exec(statement),
          close: () => db.close(),
          prepare: (statement) => {
            if (statement === 'PRAGMA user_version' && created === 'not yet') create()
            return db.prepare(statement)
          },
        }
      },
    }
    const db = await openFile({ driver: looking, path, synchronous: 'full', clock: systemClock }, true)
    onTestFinished(() => db.close())
    expect(created).toMatch(/locked/)
  })

  test('may be empty at first', async () => {
    const path = newPath()
    writeFileSync(path, '')
    expect((await open(path)).partitions).toBe(16)
  })

  test('of a newer version is refused and left alone', async () => {
    const path = newPath()
    sql(path, (db) => db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION + 1}`))
    const before = readFileSync(path)
    const error = await refusal(path)
    expect(error.code).toBe('TASKS_STORE_NEWER')
    expect(error.details).toMatchObject({ format: SCHEMA_VERSION + 1, readable: SCHEMA_VERSION })
    expect(readFileSync(path)).toEqual(before)
  })

  test.each([
    ['with tables', 'CREATE TABLE mine(id INTEGER)'],
    ['with an application_id', 'PRAGMA application_id = 42'],
    ['with a user_version', 'PRAGMA user_version = 7'],
  ])('of another program, %s, is refused and left alone', async (_, statement) => {
    const path = newPath()
    sql(path, (db) => db.exec(statement))
    const before = readFileSync(path)
    expect((await refusal(path)).code).toBe('TASKS_STORE_FOREIGN')
    expect(readFileSync(path)).toEqual(before)
    expect(existsSync(`${path}-wake`)).toBe(false)
  })

  test('that is no SQLite file is refused and left alone', async () => {
    const path = newPath()
    writeFileSync(path, 'Dear diary, '.repeat(1000))
    const before = readFileSync(path)
    const error = await refusal(path)
    expect(error.code).toBe('TASKS_STORE_FOREIGN')
    expect(error.message).toContain('not an SQLite file')
    expect(readFileSync(path)).toEqual(before)
  })

  test('that is damaged is reported as such when it is opened', async () => {
    expect((await refusal(await damaged(4096))).code).toBe('TASKS_STORE_CORRUPT')
  })

  test('in which damage is met later is reported as such then', async () => {
    const path = await damaged(150_000)
    const consumer = (await open(path)).consume({ queues: ['q'], leaseMs: 10_000 })
    await expect(consumer.receive({ max: 50, waitMs: 0, suspects: false })).rejects.toMatchObject({
      code: 'TASKS_STORE_CORRUPT',
      message: expect.stringContaining(path) as string,
    })
  })

  test('in a folder that does not exist is refused, and the folder is not made', async () => {
    const folder = join(newFolder(), 'missing')
    const error = await refusal(join(folder, 'tasks.db'))
    expect(error.code).toBe('TASKS_NOT_FOUND')
    expect(error.message).toContain(`the folder ${folder} does not exist`)
    expect(existsSync(folder)).toBe(false)
  })

  test('that is a folder is refused', async () => {
    const path = join(newFolder(), 'tasks.db')
    mkdirSync(path)
    expect((await refusal(path)).message).toContain('this is a folder')
  })

  test('that cannot be written is refused', async (context) => {
    const folder = newFolder()
    const path = join(folder, 'tasks.db')
    const transport = sqliteTransport({ path })
    await transport.open({ namespace: 'n' })
    await transport.close()
    chmodSync(folder, 0o755)
    chmodSync(path, 0o444)
    // Nothing is read-only for root.
    const user = process.getuid?.() === 0 ? { uid: 65534 } : {}
    const peer = await startPeer(path, user).catch(() => context.skip('another user cannot run this Node'))
    await expect(peer.call('open', 'n')).rejects.toMatchObject({
      code: 'TASKS_UNAVAILABLE',
      message: `${path}: the file cannot be read and written by this user`,
    })
  })

  test('is not created by those who only verify', async () => {
    const path = newPath()
    const refused = use(sqliteTransport({ path })).open({ namespace: 'n', provision: 'verify' })
    await expect(refused).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
    expect(existsSync(path)).toBe(false)
  })

  test('is created by who may, though somebody of the same transport only verifies', async () => {
    const transport = use(sqliteTransport({ path: newPath() }))
    const verifying = transport.open({ namespace: 'n', provision: 'verify' })
    const creating = transport.open({ namespace: 'n', provision: 'create' })
    await expect(verifying).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
    expect((await creating).namespace).toBe('n')
    expect((await transport.open({ namespace: 'n', provision: 'verify' })).namespace).toBe('n')
  })

  test('that was refused is opened once it is right', async () => {
    const folder = newFolder()
    const path = join(folder, 'late', 'tasks.db')
    const transport = use(sqliteTransport({ path }))
    await expect(transport.open({ namespace: 'n' })).rejects.toMatchObject({ code: 'TASKS_NOT_FOUND' })
    mkdirSync(join(folder, 'late'))
    await transport.open({ namespace: 'n' })
  })
})

describe('a file that is removed or replaced while it is open', () => {
  const files = (path: string): readonly string[] => [path, `${path}-wal`, `${path}-shm`]
  const remove = (path: string): void => files(path).forEach((each) => rmSync(each))
  test.each([
    ['removed', remove],
    ['removed without its log', (path: string) => rmSync(path)],
    ['moved away', (path: string) => renameSync(path, `${path}.old`)],
    [
      'replaced',
      (path: string) => {
        copyFileSync(path, `${path}.restored`)
        renameSync(`${path}.restored`, path)
      },
    ],
  ])('%s: says so to those who wait and to those who ask, and answers no more', async (_, change) => {
    const path = newPath()
    const space = await open(path)
    const send = (id: string) => space.send([{ target: { to: 'task', queue: 'q' }, id, body: new Uint8Array(1) }])
    expect(await send('before')).toEqual([{ ok: true }])
    const waiting = space
      .consume({ queues: ['another'], leaseMs: 60_000 })
      .receive({ max: 1, waitMs: 60_000, suspects: false })
    waiting.catch(() => {})
    const lost = { code: 'TASKS_STORE_UNSAFE', message: expect.stringContaining(path) as string }
    change(path)
    await sleep(5)
    const [outcome] = await send('after')
    expect(outcome).toMatchObject({ ok: false, error: lost })
    await expect(waiting).rejects.toMatchObject(lost)
    expect(await send('later')).toMatchObject([{ ok: false, certain: true, error: lost }])
    await expect(space.reader!.load(0, ['a'])).rejects.toMatchObject(lost)
  })

  test('ends those who only wait', async () => {
    const path = newPath()
    const waiting = (await open(path))
      .consume({ queues: ['q'], leaseMs: 60_000 })
      .receive({ max: 1, waitMs: 60_000, suspects: false })
    waiting.catch(() => {})
    remove(path)
    await expect(waiting).rejects.toMatchObject({ code: 'TASKS_STORE_UNSAFE' })
  })
})

describe('a full disk', () => {
  test('refuses what does not fit, keeps what it has, and says so', async () => {
    const path = newPath()
    const driver = new FaultyDriver()
    const space = await use(transportOf({ path }, driver)).open({ namespace: 'n' })
    driver.limitPages(200)
    const outcomes: SendOutcome[] = []
    for (let i = 0; i < 20; i++) {
      outcomes.push(...(await space.send([{ target: { to: 'task', queue: 'q' }, id: `${i}`, body }])))
    }
    const stored = outcomes.filter(({ ok }) => ok).length
    const refused = outcomes.filter(({ ok }) => !ok)
    expect(stored).toBeGreaterThan(0)
    expect(refused.length).toBeGreaterThan(0)
    const error = expect.objectContaining({
      code: 'TASKS_UNAVAILABLE',
      message: `${path}: the disk is full; nothing was stored`,
    })
    for (const outcome of refused) expect(outcome).toEqual({ ok: false, certain: true, error })
    const consumer = space.consume({ queues: ['q'], leaseMs: 1000 })
    driver.limitPages(10_000)
    const leases = await consumer.receive({ max: 100, waitMs: 0, suspects: false })
    expect(leases.length).toBe(stored)
  })

  test('fails only the writes that do not fit', async () => {
    const path = newPath()
    const driver = new FaultyDriver()
    const space = await use(transportOf({ path }, driver)).open({ namespace: 'n' })
    driver.limitPages(120)
    const small = { target: { to: 'task', queue: 'q' }, id: 'small', body: new Uint8Array(10) } as const
    const large = { target: { to: 'task', queue: 'q' }, id: 'large', body: new Uint8Array(2_000_000) } as const
    const [[first], [second], [third]] = await Promise.all([
      space.send([small]),
      space.send([large]),
      space.send([small]),
    ])
    expect([first!.ok, second!.ok, third!.ok]).toEqual([true, false, true])
  })

  test('of a real file system is an error of the same kind', async (context) => {
    const folder = newFolder()
    const script = `mount -t tmpfs -o size=512k none ${folder} && exec ${process.execPath} --import tsx --conditions=@tasks/source test/programs/fill.ts ${folder}`
    let output: string
    try {
      execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', '-o', 'size=512k', 'none', folder], { stdio: 'pipe' })
    } catch {
      return context.skip('no file system may be mounted here')
    }
    output = execFileSync('unshare', ['-rm', 'sh', '-c', script], { encoding: 'utf8' })
    const { stored, failed, errors } = JSON.parse(output) as {
      stored: string[]
      failed: number
      errors: { code: string; message: string }[]
    }
    expect(stored.length).toBeGreaterThan(0)
    expect(failed).toBeGreaterThan(0)
    for (const error of errors)
      expect(error).toMatchObject({ code: 'TASKS_UNAVAILABLE', message: expect.stringContaining(folder) })
  })
})

describe('the size of the file', () => {
  test('stays the same however much passes through it', async () => {
    const path = newPath()
    const space = await open(path)
    const consumer = space.consume({ queues: ['q'], leaseMs: 10_000 })
    const pass = async (): Promise<number> => {
      for (let i = 0; i < 20; i++) {
        await space.send(
          Array.from({ length: 100 }, (_, j) => ({
            target: { to: 'task', queue: 'q' },
            id: `${i}.${j}`,
            body: new Uint8Array(500),
          })),
        )
        const leases = await consumer.receive({ max: 100, waitMs: 0, suspects: false })
        await consumer.settle(
          leases.map((lease) => ({ lease, op: 'ack' })),
          [],
        )
      }
      return statSync(path).size + statSync(`${path}-wal`).size
    }
    await pass()
    await pass()
    const after = await pass()
    expect(await pass()).toBeLessThanOrEqual(after * 1.1)
  })
})
