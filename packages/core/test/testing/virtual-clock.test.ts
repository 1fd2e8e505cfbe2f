import { expect, test } from 'vitest'
import { virtualClock } from '../../src/testing'

test('timers fire in the order of their times, and of their making', async () => {
  const clock = virtualClock()
  const fired: (readonly [string, number])[] = []
  const note = (name: string) => () => void fired.push([name, clock.monotonic()])
  clock.after(20, note('later'))
  clock.after(10, note('first'))
  clock.after(10, () => {
    note('second')()
    // Due in the time that is passing.
    clock.after(5, note('between'))
  })
  const cancel = clock.after(15, note('never'))
  cancel()
  clock.after(21, note('too late'))
  await clock.advance(20)
  expect(fired).toEqual([
    ['first', 10],
    ['second', 10],
    ['between', 15],
    ['later', 20],
  ])
  expect(clock.now()).toBe(1_767_225_600_000 + 20)
})

test('what a timer sets off comes to rest before the next fires', async () => {
  const clock = virtualClock()
  const seen: string[] = []
  clock.after(1, () => {
    clock.soon(() => void Promise.resolve().then(() => clock.soon(() => seen.push('rest'))))
  })
  clock.after(2, () => seen.push('next'))
  await clock.advance(2)
  expect(seen).toEqual(['rest', 'next'])
})

test('time is held when a test says so, and stands still without timers', async () => {
  const clock = virtualClock()
  let fired = false
  expect(await clock.advanceToNext()).toBe(false)
  clock.after(1_000, () => (fired = true))
  expect(await clock.advanceToNext(Infinity, () => true)).toBe(false)
  expect(await clock.advanceToNext(999 + clock.now())).toBe(false)
  expect([fired, clock.monotonic()]).toEqual([false, 0])
  expect(await clock.advanceToNext()).toBe(true)
  expect([fired, clock.monotonic()]).toEqual([true, 1_000])
})

test('the same seed gives the same numbers and ids', () => {
  const drawn = (seed: number): unknown[] => {
    const clock = virtualClock({ seed })
    return [clock.random(), clock.random(), clock.uid(), clock.uid()]
  }
  expect(drawn(7)).toEqual(drawn(7))
  expect(new Set([...drawn(7), ...drawn(8)]).size).toBe(8)
  for (const number of drawn(7).slice(0, 2)) expect(number).toSatisfy((x: number) => x >= 0 && x < 1)
})
