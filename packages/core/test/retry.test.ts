import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NonRetryableError, RetryAfterError, TaskError } from '../src/errors'
import { fromFailure, toFailure } from '../src/failure'
import { isRetryable, resolveRetry, retryDelay } from '../src/retry'

describe('the policy', () => {
  test('has defaults', () => {
    expect(resolveRetry({ maxRetries: 3 })).toEqual({
      maxRetries: 3,
      delayMs: 1000,
      factor: 2,
      maxDelayMs: 60_000,
      jitter: 'full',
    })
  })

  test('with a long delay is not capped below it', () => {
    expect(resolveRetry({ maxRetries: 1, delayMs: 600_000 }).maxDelayMs).toBe(600_000)
  })

  test('does not carry its classes', () => {
    expect(resolveRetry({ maxRetries: 1, retryFor: [RangeError] })).not.toHaveProperty('retryFor')
  })

  test.each([
    [{ maxRetries: -1 }, 'retry.maxRetries must be an integer of at least 0, not -1'],
    [{ maxRetries: 1.5 }, 'retry.maxRetries must be an integer of at least 0, not 1.5'],
    [{}, 'retry.maxRetries must be an integer of at least 0, not undefined'],
    [{ maxRetries: 1, delayMs: NaN }, 'retry.delayMs must be a finite number of at least 0, not NaN'],
    [{ maxRetries: 1, factor: 0.5 }, 'retry.factor must be a finite number of at least 1, not 0.5'],
    [{ maxRetries: 1, maxDelayMs: Infinity }, 'retry.maxDelayMs must be a finite number of at least 0, not Infinity'],
    [{ maxRetries: 1, jitter: 2 }, "retry.jitter must be 'full', 'none' or a number from 0 to 1, not 2"],
    [{ maxRetries: 1, jitter: 'some' }, "retry.jitter must be 'full', 'none' or a number from 0 to 1, not some"],
    [{ maxRetries: 1, retryFor: ['RangeError'] }, 'retry.retryFor[0] must be an error class, not RangeError'],
    [
      { maxRetries: 1, maxDelay: 5 },
      'retry: there is no option "maxDelay"; known: maxRetries, delayMs, factor, maxDelayMs, jitter, retryFor',
    ],
    [3, 'retry must be an object like { maxRetries: 3 }, not 3'],
  ])('%j is refused', (policy, message) => {
    expect(() => resolveRetry(policy as never)).toThrow(expect.objectContaining({ code: 'TASKS_OPTIONS', message }))
  })
})

describe('the delay', () => {
  const steady = resolveRetry({ maxRetries: 9, jitter: 'none' })

  test('of attempt k is delay × factor^(k-1), capped', () => {
    expect([1, 2, 3, 6, 7, 8, 5000].map((k) => retryDelay(steady, k, 0.5))).toEqual([
      1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000,
    ])
  })

  test('of zero stays zero', () => {
    expect(retryDelay(resolveRetry({ maxRetries: 9, delayMs: 0 }), 5000, 0.5)).toBe(0)
  })

  test('is spread by jitter', () => {
    const at = (jitter: 'full' | number): number[] =>
      [0, 0.5, 0.999].map((r) => retryDelay({ ...steady, jitter }, 1, r))
    expect(at('full')).toEqual([1000, 500, 1])
    expect(at(0.1)).toEqual([1000, 950, 900])
  })

  test('is always between zero and the cap', () => {
    fc.assert(
      fc.property(
        fc.record({
          maxRetries: fc.nat(),
          delayMs: fc.nat(1e9),
          factor: fc.double({ min: 1, max: 1e9, noNaN: true }),
          maxDelayMs: fc.nat(1e9),
          jitter: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (policy, attempt, random) => {
          const delay = retryDelay(resolveRetry(policy), attempt, random)
          expect(Number.isInteger(delay) && delay >= 0 && delay <= policy.maxDelayMs).toBe(true)
        },
      ),
    )
  })
})

describe('an error is tried again', () => {
  class NetworkError extends Error {}
  class Reset extends NetworkError {}

  test('unless it says that this is useless', () => {
    expect(isRetryable(new Error('x'))).toBe(true)
    expect(isRetryable('a string')).toBe(true)
    expect(isRetryable(new TaskError('TASKS_TIMEOUT', 'x'))).toBe(true)
    expect(isRetryable(new NonRetryableError('x'))).toBe(false)
    for (const code of ['TASKS_ARGUMENTS', 'TASKS_SCHEMA', 'TASKS_UNENCODABLE'] as const)
      expect(isRetryable(new TaskError(code, 'x'))).toBe(false)
  })

  test('if it is of a listed class or a subclass', () => {
    const policy = { maxRetries: 1, retryFor: [NetworkError] }
    expect([new NetworkError(), new Reset(), new Error(), 'x'].map((e) => isRetryable(e, policy))).toEqual([
      true,
      true,
      false,
      false,
    ])
  })

  test('if its class has the same name in another realm', () => {
    const alien = runInNewContext(
      'class NetworkError extends Error {}; class Reset extends NetworkError {}; new Reset()',
    ) as unknown
    expect(alien instanceof NetworkError).toBe(false)
    expect(isRetryable(alien, { maxRetries: 1, retryFor: [NetworkError] })).toBe(true)
    expect(isRetryable(fromFailure(toFailure(new RangeError('x'))), { maxRetries: 1, retryFor: [RangeError] })).toBe(
      true,
    )
  })

  test('if the predicate says so', () => {
    const policy = { maxRetries: 1, retryFor: (e: unknown) => (e as Error).message === 'again' }
    expect([
      isRetryable(new Error('again'), policy),
      isRetryable(new Error('no'), policy),
      isRetryable(null, policy),
    ]).toEqual([true, false, false])
  })

  test('never, for a NonRetryableError, whatever the list says', () => {
    expect(isRetryable(new NonRetryableError('x'), { maxRetries: 1, retryFor: [Error] })).toBe(false)
  })

  test('always, for a RetryAfterError, whatever the list says', () => {
    expect(isRetryable(new RetryAfterError('busy', 250), { maxRetries: 1, retryFor: [NetworkError] })).toBe(true)
  })
})
