import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TaskError } from '@tasks/core/adapter'
import { describe, expect, test } from 'vitest'
import type { DriverName, Load } from '../src/driver'
import { chooseDriver, isSafe } from '../src/driver'

function loading(versions: Partial<Record<DriverName, string>>): Load {
  return (name) => {
    const version = versions[name]
    if (version === undefined) return undefined
    return {
      DatabaseSync: class {
        exec(): void {}
        close(): void {}
        prepare(): { run(): { changes: number }; get(): unknown; all(): unknown[] } {
          return { run: () => ({ changes: 0 }), get: () => ({ version }), all: () => [] }
        }
      },
    }
  }
}

function refusal(versions: Partial<Record<DriverName, string>>): TaskError {
  try {
    chooseDriver(loading(versions))
  } catch (error) {
    return error as TaskError
  }
  throw new Error('it was not refused')
}

describe('the driver', () => {
  test('is that of Node where it is new enough', () => {
    expect(chooseDriver(loading({ 'node:sqlite': '3.51.3', '@photostructure/sqlite': '3.53.0' })).name).toBe(
      'node:sqlite',
    )
  })

  test('is the package where Node has none, or an unsafe one', () => {
    expect(chooseDriver(loading({ '@photostructure/sqlite': '3.53.0' })).name).toBe('@photostructure/sqlite')
    expect(chooseDriver(loading({ 'node:sqlite': '3.46.1', '@photostructure/sqlite': '3.53.0' })).name).toBe(
      '@photostructure/sqlite',
    )
  })

  test('that is missing is an error with the command that installs it', () => {
    const error = refusal({})
    expect(error.code).toBe('TASKS_MISSING_PACKAGE')
    expect(error.message).toContain('npm install @photostructure/sqlite@1.2.1')
  })

  test.each([
    ['3.7.0', false],
    ['3.50.4', false],
    ['3.51.2', false],
    ['3.51.3', true],
    ['3.52.0', true],
    ['3.53.4', true],
    ['4.0.0', true],
  ])('of SQLite %s is safe for several processes: %s', (version, safe) => {
    expect(isSafe(version)).toBe(safe)
  })

  test('with the WAL-reset bug is refused by its version, with what to do', () => {
    const own = refusal({ 'node:sqlite': '3.50.4' })
    expect(own.code).toBe('TASKS_STORE_UNSAFE')
    expect(own.message).toContain('SQLite 3.50.4 (node:sqlite)')
    expect(own.message).toContain('npm install @photostructure/sqlite@1.2.1')
    const peer = refusal({ '@photostructure/sqlite': '3.51.2' })
    expect(peer.code).toBe('TASKS_STORE_UNSAFE')
    expect(peer.message).toContain('SQLite 3.51.2 (@photostructure/sqlite)')
  })

  test('of this Node is real and safe', () => {
    const driver = chooseDriver()
    expect(isSafe(driver.version)).toBe(true)
    const major = Number(process.versions.node.split('.')[0])
    expect(driver.name).toBe(major >= 22 ? 'node:sqlite' : '@photostructure/sqlite')
  })

  test('loads without a warning, and silences no other', () => {
    const program = `
      import { chooseDriver } from ${JSON.stringify(new URL('../src/driver.ts', import.meta.url).href)}
      chooseDriver()
      process.emitWarning('another one', 'ExperimentalWarning')`
    const stderr = run(program)
    expect(stderr).toContain('ExperimentalWarning: another one')
    expect(stderr).not.toContain('SQLite')
  })
})

function run(program: string): string {
  const args = ['--import', 'tsx', '--conditions=@tasks/source', '--input-type=module', '--eval', program]
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  return execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1 >/dev/null', process.execPath, ...args], {
    cwd,
    encoding: 'utf8',
  })
}
