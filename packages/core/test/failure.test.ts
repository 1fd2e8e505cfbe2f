import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { NonRetryableError, RetryAfterError, TaskError } from '../src/errors'
import { fromFailure, toFailure } from '../src/failure'

const overTheWire = (error: unknown): TaskError => fromFailure(JSON.parse(JSON.stringify(toFailure(error))))

test('an error keeps its name, message and stack', () => {
  const error = new RangeError('too far')
  const back = overTheWire(error)
  expect([back.code, back.name, back.message, back.stack]).toEqual([
    'TASKS_TASK_FAILED',
    'RangeError',
    'too far',
    error.stack,
  ])
})

test('a TaskError keeps its code, details and kind', () => {
  expect(overTheWire(new TaskError('TASKS_TIMEOUT', 'slow', { details: { timeoutMs: 5 } }))).toMatchObject({
    code: 'TASKS_TIMEOUT',
    details: { timeoutMs: 5 },
  })
  expect(NonRetryableError.is(overTheWire(new NonRetryableError('no')))).toBe(true)
  const busy = overTheWire(new RetryAfterError('busy', 1500))
  expect(RetryAfterError.is(busy) && busy.delayMs).toBe(1500)
})

test('the failed task takes the place of an earlier one', () => {
  const earlier = new TaskError('TASKS_TASK_FAILED', 'x', { task: { name: 'a', id: '0', attempt: 1 } })
  expect(toFailure(earlier).task).toEqual({ name: 'a', id: '0', attempt: 1 })
  expect(toFailure(earlier, { name: 'b', id: '1', attempt: 2 }).task).toEqual({ name: 'b', id: '1', attempt: 2 })
})

test('a cause of an aggregate keeps which chain it is from; thrown again by itself it is of no chain', () => {
  const cause = new TaskError('TASKS_TASK_FAILED', 'x', { index: 3 })
  const group = new TaskError('TASKS_GROUP_FAILED', 'y', { errors: [cause], errorCount: 5 })
  expect(overTheWire(group).errors?.[0]).toMatchObject({ message: 'x', index: 3 })
  expect(overTheWire(cause).index).toBeUndefined()
})

test('causes are kept', () => {
  const back = overTheWire(new Error('outer', { cause: new TypeError('inner', { cause: 'a string' }) }))
  expect(back.cause).toMatchObject({ name: 'TypeError', message: 'inner', cause: { message: 'a string' } })
})

test('a cycle of causes ends', () => {
  const a = new Error('a')
  a.cause = new Error('b', { cause: a })
  expect(toFailure(a)).toMatchObject({ message: 'a', cause: { message: 'b' } })
  expect(toFailure(a).cause?.cause).toBeUndefined()
})

test('depth and width are bounded', () => {
  let deep: Error = new Error('0')
  for (let i = 1; i < 1000; i++) deep = new Error(String(i), { cause: deep })
  let wide: Error = new Error('leaf')
  for (let i = 0; i < 20; i++) wide = new AggregateError([wide, wide, wide, wide], 'many')
  expect(JSON.stringify(toFailure(deep)).length).toBeLessThan(100_000)
  expect(JSON.stringify(toFailure(wide)).length).toBeLessThan(1_000_000)
})

test('an AggregateError keeps its first 100 causes and their count', () => {
  const back = overTheWire(
    new AggregateError(
      Array.from({ length: 150 }, (_, i) => new Error(`e${i}`)),
      'many',
    ),
  )
  expect([back.errors?.length, back.errorCount, back.errors?.[99]?.message]).toEqual([100, 150, 'e99'])
})

test('long messages and stacks are cut', () => {
  const error = new Error('m'.repeat(1e6))
  expect(JSON.stringify(toFailure(error)).length).toBeLessThan(40_000)
})

test('anything can be thrown', () => {
  expect(toFailure('boom').message).toBe('boom')
  expect(toFailure(undefined).message).toBe('thrown: undefined')
  expect(toFailure({ status: 404 }).message).toBe('thrown: { status: 404 }')
  expect(toFailure(Symbol('s')).message).toBe('thrown: Symbol(s)')
  const hostile = {
    get message(): string {
      throw new Error('no')
    },
  }
  expect(toFailure(hostile).code).toBe('TASKS_TASK_FAILED')
  expect(
    toFailure(
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('no')
          },
        },
      ),
    ).code,
  ).toBe('TASKS_TASK_FAILED')
})

test('an error of another realm is an error', () => {
  expect(toFailure(runInNewContext('new RangeError("far")'))).toMatchObject({ name: 'RangeError', message: 'far' })
})

test('of a foreign error only telling properties travel', () => {
  const error = Object.assign(new Error('refused'), {
    code: 'ECONNREFUSED',
    config: { password: 'secret' },
    status: 502,
  })
  expect(toFailure(error).details).toEqual({ code: 'ECONNREFUSED', status: 502 })
})

test('details that are not JSON are left out', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic
  expect(toFailure(new TaskError('TASKS_CLOSED', 'x', { details: cyclic })).details).toBeUndefined()
})

test('a malformed failure is an error all the same', () => {
  for (const bad of [
    null,
    7,
    [],
    { code: 4, message: {}, errors: 'x', cause: 3, task: { name: 1 } },
    { code: 'TASKS_RETRY_AFTER', details: { delayMs: -1 } },
  ]) {
    expect(TaskError.is(fromFailure(bad as never))).toBe(true)
  }
})
