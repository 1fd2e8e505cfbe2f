// A simulator that finds nothing proves nothing. A few mistakes must be found each time; each of them by the suite `simulation-mutants` of the long tier.
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { bundle } from '../src/bundle'
import { hunt, tableOf } from '../src/hunt'
import { mutants, type Mutant } from '../src/mutants'

const quick = mutants.filter(({ within }) => within <= 300)
const chosen = process.env['TASKS_MUTANTS'] === 'all' ? mutants : quick.filter((_, index) => index % 4 === 0)

for (const mutant of chosen) {
  // Ample: a hunt that gets nowhere ends by itself.
  test(`finds: ${mutant.name}`, { timeout: 300_000 + mutant.within * 500 }, async ({ signal }) => {
    const found = await hunt(mutant, signal)
    console.log(tableOf([found]))
    expect(found.seed).toBeDefined()
  })
}

test('a mistake that breaks the simulator itself is not found', async () => {
  const change = {
    file: 'engine/owner.ts',
    from: 'export class Owner ',
    to: "throw new Error('broken')\nexport class Owner ",
  }
  await expect(hunt({ name: 'broken', within: 1, changes: [change] })).rejects.toThrow(/the simulator broke .*broken/s)
})

test('there are at least twenty mutants, each with a name of its own, and their text is where they say', async () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
  expect(mutants.length).toBeGreaterThanOrEqual(20)
  for (const mutant of mutants) rmSync(dirname(await bundle(mutant)), { recursive: true })
})

test('a mutant whose text is gone is refused', async () => {
  const gone: Mutant = { name: 'gone', within: 1, changes: [{ file: 'engine/owner.ts', from: 'not there', to: '' }] }
  await expect(bundle(gone)).rejects.toThrow('holds 0 times, not once: not there')
})
