import { describe, expect, test } from 'vitest'
import { fromUrl, sqliteTransport } from '../src/index'
import { parseUrl } from '../src/url'

describe('a URL', () => {
  test.each([
    ['sqlite:./tasks.db', './tasks.db'],
    ['sqlite:tasks.db', 'tasks.db'],
    ['SQLite:../a/tasks.db', '../a/tasks.db'],
    ['sqlite:/var/lib/tasks.db', '/var/lib/tasks.db'],
    ['sqlite:///var/lib/tasks.db', '/var/lib/tasks.db'],
    ['sqlite:my%20tasks%3f.db', 'my tasks?.db'],
  ])('%s names the file %s', (url, path) => {
    expect(parseUrl(url)).toEqual({ path })
  })

  test('may say how durable a commit is', () => {
    expect(parseUrl('sqlite:./tasks.db?synchronous=normal')).toEqual({ path: './tasks.db', synchronous: 'normal' })
    expect(fromUrl('sqlite:./tasks.db?synchronous=normal').capabilities.durability).toBe('process')
    expect(fromUrl('sqlite:./tasks.db').capabilities.durability).toBe('fsync')
    expect(fromUrl('sqlite:./tasks.db', { synchronous: 'normal' }).capabilities.durability).toBe('process')
  })

  test.each([
    ['sqlite:', 'the path is missing'],
    ['sqlite://tasks.db', 'what follows // would be a host'],
    ['sqlite:./tasks.db?sync=off', 'there is no option "sync"'],
    ['sqlite:./tasks.db?synchronous=off', 'synchronous is full or normal, not "off"'],
    ['sqlite:%zz', 'a % is not followed by'],
    ['redis://localhost', 'not an sqlite: URL'],
  ])('%s is refused: %s', (url, why) => {
    expect(() => fromUrl(url)).toThrow(
      expect.objectContaining({ code: 'TASKS_OPTIONS', message: expect.stringContaining(why) }),
    )
  })

  test('that asks for memory points to the transport for that', () => {
    expect(() => fromUrl('sqlite::memory:')).toThrow(/use the transport memory: instead/)
    expect(() => sqliteTransport({ path: ':memory:' })).toThrow(/use the transport memory: instead/)
  })

  test('and a path together, or neither, is refused', () => {
    expect(() => sqliteTransport({})).toThrow(/either path or url/)
    expect(() => sqliteTransport({ path: 'a.db', url: 'sqlite:a.db' })).toThrow(/either path or url/)
  })

  test('has no other durability than full and normal', () => {
    expect(() => sqliteTransport({ path: 'a.db', synchronous: 'off' as 'full' })).toThrow(
      /'full' or 'normal', not 'off'/,
    )
  })
})
