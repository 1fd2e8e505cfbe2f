import { expect, test } from 'vitest'
import { Tally } from '../src/tally'

function tallyOf(...indexes: number[]): Tally {
  const tally = new Tally('load')
  for (const index of indexes) tally.add(index)
  return tally
}

test('a tally is content when every number ran once, and forgets them', () => {
  const tally = tallyOf(2, 0, 1)
  tally.checkAndReset(3)
  expect(tally.total).toBe(0)
})

test('a task that ran too often, too seldom, or with a number nobody sent fails the check by name', () => {
  expect(() => tallyOf(0, 1, 1).checkAndReset(2)).toThrow('load(1) ran 2 times instead of 1; 3 runs in all')
  expect(() => tallyOf(0, 2).checkAndReset(3)).toThrow('load(1) ran 0 times instead of 1')
  expect(() => tallyOf(0, 1, 2).checkAndReset(2)).toThrow('load(2) ran 1 times instead of 0')
  expect(() => tallyOf().checkAndReset(5_000)).toThrow('load(0) ran 0 times instead of 1')
  expect(() => tallyOf(0, 1).checkAndReset(2, 2)).toThrow('load(0) ran 1 times instead of 2')
})

test('a run counted twice past the first thousand is found', () => {
  const tally = new Tally('load')
  for (let i = 0; i < 5_000; i++) tally.add(i)
  tally.add(4_321)
  expect(() => tally.checkAndReset(5_000)).toThrow('load(4321) ran 2 times')
})

test('whoever waits for a number of runs is woken by the run that makes it', async () => {
  const tally = tallyOf(0)
  const reached = tally.reaches(2)
  tally.add(1)
  await reached
  await tally.reaches(1)
  expect(tally.total).toBe(2)
})
