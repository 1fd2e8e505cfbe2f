import { expect, test } from 'vitest'
import {
  isStandardSchema,
  validateArguments,
  validateState,
  type StandardIssue,
  type StandardSchema,
} from '../src/schema'

function schema<T>(check: (value: unknown) => T | StandardIssue[]): StandardSchema<unknown, T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        const result = check(value)
        return Array.isArray(result) ? { issues: result as StandardIssue[] } : { value: result }
      },
    },
  }
}

const positive = schema((x) => (typeof x === 'number' && x > 0 ? x : [{ message: 'expected a positive number' }]))
const withDefault = schema((x) => x ?? 5)
const items = schema(() => [{ message: 'expected string', path: ['items', 2, { key: 'price' }] }, { message: 'other' }])
const later: StandardSchema = {
  '~standard': { version: 1, vendor: 'test', validate: async (value) => ({ value: `${String(value)}!` }) },
}

test('arguments that fit pass, converted', () => {
  expect(validateArguments([positive, withDefault], [1], 'f')).toEqual([1, 5])
  expect(validateArguments([undefined, positive], ['x', 2, 'more'], 'f')).toEqual(['x', 2, 'more'])
})

test('no argument is added where a schema allows none', () => {
  expect(validateArguments([positive, schema((x) => x)], [1], 'f')).toEqual([1])
})

test('a misfit names the task, the argument and the path', () => {
  expect(() => validateArguments([positive, items], [1, {}], 'ship')).toThrow(
    expect.objectContaining({
      code: 'TASKS_SCHEMA',
      message: 'task "ship": argument 2, at items[2].price: expected string (and 1 more)',
      details: {
        issues: [
          { argument: 2, path: 'items[2].price', message: 'expected string' },
          { argument: 2, path: '', message: 'other' },
        ],
      },
    }),
  )
  expect(() => validateArguments([positive], [], 'ship')).toThrow('task "ship": argument 1: expected a positive number')
})

test('schemas may be asynchronous', async () => {
  expect(await validateArguments([later, positive], ['a', 1], 'f')).toEqual(['a!', 1])
  await expect(validateArguments([later, positive], ['a', -1], 'f')).rejects.toThrow(/argument 2/)
})

test('a schema is told from other things', () => {
  expect([positive, {}, null, 'x', { '~standard': { version: 2 } }].map(isStandardSchema)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})

test('a state is checked, and stays as it is', async () => {
  expect(validateState(positive, 5, 'ship')).toBeUndefined()
  expect(() => validateState(items, {}, 'ship')).toThrow(
    expect.objectContaining({
      code: 'TASKS_SCHEMA',
      message: 'task "ship": the pipeline state, at items[2].price: expected string (and 1 more)',
      details: {
        issues: [
          { path: 'items[2].price', message: 'expected string' },
          { path: '', message: 'other' },
        ],
      },
    }),
  )
  await expect(validateState(later, 7, 'ship')).resolves.toBeUndefined()
})
