import { beforeAll, describe, expect, test } from 'vitest'
import type { ConformanceCase } from '../src/index'
import { transportCases } from '../src/index'
import { within } from '../src/patience'
import type { Mutant } from './mutants/broken'
import { brokenHarness } from './mutants/broken'
import { commits } from './mutants/commits'
import { events } from './mutants/events'
import { opening } from './mutants/opening'
import { ownership } from './mutants/ownership'
import { recovery } from './mutants/recovery'
import { sends } from './mutants/sends'
import { storage } from './mutants/storage'
import { tasks } from './mutants/tasks'

const mutants: readonly Mutant[] = [
  ...opening,
  ...commits,
  ...recovery,
  ...sends,
  ...events,
  ...tasks,
  ...ownership,
  ...storage,
]
const patience = { leaseMs: 120, eventuallyMs: 400, settleMs: 30 }
const cases = new Map(transportCases.map((one) => [one.name, one]))
// Different enough that no mutant breaks all of them, unless it is broken altogether.
const controls = [
  'takes a page of a blob twice',
  'loads rows in the order they were asked for',
  'keeps dead letters whole',
]

let runs = 0

/** What the case says of the mutant: undefined if it found nothing. */
async function verdict(mutant: Mutant, one: ConformanceCase): Promise<unknown> {
  const harness = brokenHarness(mutant.changes(), patience)
  try {
    await within(20_000, one.name, one.run(harness, `n${runs++}`))
    return undefined
  } catch (error) {
    return error
  }
}

/** Runs jobs side by side: they wait most of the time. */
async function atOnce(limit: number, jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...jobs]
  const work = async (): Promise<void> => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) await job()
  }
  await Promise.all(Array.from({ length: limit }, work))
}

describe('mutants', () => {
  const verdicts = new Map<string, unknown>()
  const sound = new Set<string>()

  beforeAll(async () => {
    const trials = mutants.flatMap((mutant) =>
      mutant.caught.map((name) => async () => {
        const one = cases.get(name)
        if (one !== undefined) verdicts.set(`${mutant.name}: ${name}`, await verdict(mutant, one))
      }),
    )
    const checks = mutants.map((mutant) => async () => {
      for (const name of controls) {
        if ((await verdict(mutant, cases.get(name)!)) !== undefined) continue
        sound.add(mutant.name)
        return
      }
    })
    await atOnce(16, [...trials, ...checks])
  }, 120_000)

  test.each(mutants.flatMap((mutant) => mutant.caught.map((name) => [mutant.name, name] as const)))(
    'a transport that %s is caught by "%s"',
    (mutant, name) => {
      expect(cases.has(name), 'there is no such case').toBe(true)
      const error = verdicts.get(`${mutant}: ${name}`)
      expect(error, 'the case found nothing').toBeDefined()
      // These would be the mutant's own bugs.
      expect(error).not.toBeInstanceOf(TypeError)
      expect(error).not.toBeInstanceOf(ReferenceError)
    },
  )

  test.each(mutants.map(({ name }) => name))('a transport that %s works otherwise', (name) => {
    expect(sound.has(name)).toBe(true)
  })

  test('no two mutants or cases have the same name', () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
    expect(cases.size).toBe(transportCases.length)
  })

  test('every case catches a mutant, so that none can be added that cannot fail', () => {
    const caught = new Set(mutants.flatMap((mutant) => mutant.caught))
    expect(transportCases.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([])
  })
})
