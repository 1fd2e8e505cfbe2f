import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { NonRetryableError, RetryAfterError, TaskError, taskErrorCodes } from '../src/errors'

const documented = new Map(
  [...readFileSync(new URL('../ERRORS.md', import.meta.url), 'utf8').matchAll(/^### (\S+)\n(.+)\n\n(.+)$/gm)].map(
    ([, code, happened]) => [code!, happened!] as const,
  ),
)

describe('the table of codes', () => {
  test('is documented in ERRORS.md, sentence by sentence', () => {
    expect(Object.fromEntries(documented)).toEqual(taskErrorCodes)
  })

  test('holds every code that the sources throw', () => {
    const src = new URL('../src/', import.meta.url)
    const thrown = new Set<string>()
    for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      const text = readFileSync(new URL(file, src), 'utf8')
      for (const [, code] of text.matchAll(/(?:TaskError\(\s*|code: |code === )'(TASKS_[A-Z_]+)'/g)) thrown.add(code!)
    }
    expect([...thrown].filter((code) => !(code in taskErrorCodes))).toEqual([])
  })
})

test('an error of another copy of the library is recognised', () => {
  const alien = Object.assign(new Error('x'), { code: 'TASKS_TIMEOUT', [Symbol.for('@tasks/core/TaskError')]: true })
  expect(TaskError.is(alien)).toBe(true)
  expect(NonRetryableError.is(alien)).toBe(false)
})

test('other values are not', () => {
  for (const x of [undefined, null, 'TASKS_TIMEOUT', new Error('x'), { code: 'TASKS_TIMEOUT' }])
    expect(TaskError.is(x)).toBe(false)
})

test('subclasses are told apart, and are TaskErrors', () => {
  const gone = new NonRetryableError('no such account')
  const busy = new RetryAfterError('busy', 1500)
  expect([TaskError.is(gone), NonRetryableError.is(gone), RetryAfterError.is(gone)]).toEqual([true, true, false])
  expect([TaskError.is(busy), NonRetryableError.is(busy), RetryAfterError.is(busy)]).toEqual([true, false, true])
  expect(`${gone} ${busy}`).toBe('NonRetryableError: no such account RetryAfterError: busy')
  expect(busy.delayMs).toBe(1500)
})

test('a subclass of a user keeps the brand', () => {
  class NoFunds extends NonRetryableError {}
  expect(NonRetryableError.is(new NoFunds('empty'))).toBe(true)
})

test('a bad delay is refused', () => {
  for (const delay of [-1, NaN, Infinity]) expect(() => new RetryAfterError('busy', delay)).toThrow(/delayMs/)
})

test('the cause, the task and the name are kept; absent facts are absent', () => {
  const cause = new Error('why')
  const error = new TaskError('TASKS_TASK_FAILED', 'boom', {
    cause,
    task: { name: 'a', id: '0', attempt: 2 },
    name: 'RangeError',
    stack: 'RangeError: boom\n    at worker.ts:1',
  })
  expect(error.cause).toBe(cause)
  expect(error.task).toEqual({ name: 'a', id: '0', attempt: 2 })
  expect(String(error)).toBe('RangeError: boom')
  expect(error.stack).toContain('worker.ts')
  expect(Object.keys(error)).toEqual(['code', 'task'])
  expect(Object.keys(new TaskError('TASKS_CLOSED', 'closed'))).toEqual(['code'])
})

test('an aggregate keeps its first 100 causes and their count', () => {
  const errors = Array.from({ length: 150 }, (_, i) => new TaskError('TASKS_TASK_FAILED', `e${i}`))
  const error = new TaskError('TASKS_GROUP_FAILED', 'many', { errors })
  expect(error.errors).toHaveLength(100)
  expect(error.errorCount).toBe(150)
})
