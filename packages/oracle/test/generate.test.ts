import { expect, test } from 'vitest'
import { generateProgram, interpret, isLoose, simplerPrograms, tasksOf, type Program } from '../src/index'

/** A Lehmer generator is random enough to look around. */
function choices(seed: number): (n: number) => number {
  let state = seed * 48_271 + 1
  return (n) => {
    state = (state * 48_271) % 2_147_483_647
    return state % n
  }
}

const programs = Array.from({ length: 500 }, (_, seed) =>
  generateProgram(choices(seed), {
    roles: true,
    sleeps: [5],
    waits: [5],
    listens: [5],
    each: true,
    state: true,
    pauses: true,
    variants: true,
    runs: 3,
  }),
)

test('the simplest choices make the simplest program', () => {
  expect(generateProgram(() => 0)).toMatchObject([{ kind: 'task', label: 't1', fails: 0, gives: 'one' }])
})

test('labels are used once', () => {
  for (const program of programs) {
    const labels = tasksOf(program).map(({ label }) => label)
    expect(new Set(labels).size).toBe(labels.length)
  }
})

test('programs are of every kind', () => {
  const text = programs.map((program) => JSON.stringify(program))
  const parts = [
    '"chains":[]',
    '"chains":[[{"kind":"group"',
    '"returns"',
    '"maxParallelism"',
    '"gives":"several"',
    '"handler"',
    '"finally"',
    '"sleep"',
    '"each"',
    '"pauses"',
    '"when":true',
    '"when":false',
    '"unordered"',
    '"until"',
    '"sets"',
    '"tells"',
    '"state":{',
    '"args":[',
    '"inline"',
    '"heals"',
    '"pure"',
    '"timeoutMs"',
    '"raceMs"',
    '"own"',
    '"match"',
    '"listen"',
    '"number":2',
  ]
  const rare = parts.filter((part) => text.filter((json) => json.includes(part)).length < 20)
  expect(rare).toEqual([])
  const ends = programs.map((program) => interpret(program).outcome)
  expect(ends.filter((outcome) => 'failure' in outcome).length).toBeGreaterThan(100)
  expect(ends.filter((outcome) => 'result' in outcome).length).toBeGreaterThan(100)
  const retried = programs.map((program) => interpret(program, 3))
  expect(retried.filter(({ run, outcome }) => run > 1 && 'result' in outcome).length).toBeGreaterThan(50)
  expect(ends.filter((outcome) => JSON.stringify(outcome).includes('TASKS_STATE_CONFLICT')).length).toBeGreaterThan(0)
})

test('where a group gives its results in any order, no task looks at the order', () => {
  for (const program of programs.filter(isLoose)) expect(tasksOf(program).every(({ loose }) => loose)).toBe(true)
})

test('simpler programs are simpler, so that looking for the simplest ends', () => {
  const weight = (program: Program): number => JSON.stringify(program).length
  for (const program of programs.slice(0, 50)) {
    for (const simpler of simplerPrograms(program)) {
      expect(simpler.length).toBeGreaterThan(0)
      expect(weight(simpler)).toBeLessThanOrEqual(weight(program))
    }
  }
})
