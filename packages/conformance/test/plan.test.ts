import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ConformanceCase, TransportHarness } from '../src/index'
import { markdownReport, planSuite, promises, transportCases, writeReport } from '../src/index'
import { memoryHarness } from './support/memory-harness'

function caseOf(name: string, changes: Partial<ConformanceCase> = {}): ConformanceCase {
  return { name, promise: 'S1', because: 'of this test', run: async () => {}, ...changes }
}

/** A harness with nothing but what every one has. */
function plainHarness(): TransportHarness {
  const { name, capabilities, create } = memoryHarness()
  return { name, capabilities, create }
}

test('a skip that names no case is reported', () => {
  const { unknownSkips, cases } = planSuite(plainHarness(), {
    cases: [caseOf('one'), caseOf('two')],
    skip: { two: 'it cannot', three: 'a typing error' },
  })
  expect(unknownSkips).toEqual(['three'])
  expect(cases.map((planned) => planned.skip)).toEqual([undefined, 'it cannot'])
})

test('a case that needs what the harness does not have is skipped, with what it lacks', () => {
  const cases = [caseOf('one', { requires: ['crash', 'reader'] })]
  expect(planSuite(plainHarness(), { cases }).cases[0]!.skip).toBe('the harness has no crash, reader')
  expect(planSuite(memoryHarness(), { cases }).cases[0]!.skip).toBeUndefined()
})

test('a plain harness leaves most cases to run', () => {
  const { cases } = planSuite(plainHarness(), { cases: transportCases })
  expect(cases.filter(({ skip }) => skip === undefined).length).toBeGreaterThan(100)
})

test('stress runs a case many times at once, each in a namespace of its own', async () => {
  const namespaces: string[] = []
  let [running, most] = [0, 0]
  const one = caseOf('one', {
    async run(_, namespace) {
      namespaces.push(namespace)
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running--
    },
  })
  await planSuite(plainHarness(), { cases: [one], stress: 7 }).cases[0]!.run()
  expect(new Set(namespaces).size).toBe(7)
  expect(most).toBe(7)
})

test('a case that restarts the server runs alone, however large the stress', async () => {
  let runs = 0
  const one = caseOf('one', { requires: ['restartBroker'], run: async () => void runs++ })
  const { cases } = planSuite(memoryHarness(), { cases: [one, caseOf('two')], stress: 7 })
  await cases[0]!.run()
  expect(runs).toBe(1)
  expect(cases.map(({ isAlone }) => isAlone)).toEqual([true, false])
})

test('a store may forget the namespaces of a case when it has ended, well or badly, and none of another', async () => {
  const used: string[] = []
  const forgotten: string[] = []
  const note = async (_: TransportHarness, namespace: string): Promise<void> => void used.push(namespace)
  const failing = async (_: TransportHarness, namespace: string): Promise<void> => {
    used.push(namespace)
    throw new Error('broken')
  }
  const harness = { ...plainHarness(), forget: (namespace: string) => void forgotten.push(namespace) }
  const { cases } = planSuite(harness, {
    cases: [...Array.from({ length: 40 }, (_, i) => caseOf(`${i}`, { run: note })), caseOf('bad', { run: failing })],
  })
  for (const { run } of cases) await run().catch(() => {})
  expect(forgotten).toEqual(used)
  expect(used.filter((one) => used.some((other) => other !== one && other.startsWith(one)))).toEqual([])
})

test('every promise has a case', () => {
  const named = new Set(transportCases.map(({ promise }) => promise))
  expect(Object.keys(promises).filter((name) => name !== 'engine' && !named.has(name as never))).toEqual([])
})

test('the report is a table of adapters and promises, with the reasons below', () => {
  const report = markdownReport([
    {
      adapter: 'memory',
      results: [
        { name: 'one', promise: 'S1', outcome: 'kept' },
        { name: 'two', promise: 'S1', outcome: 'kept' },
        { name: 'three', promise: 'S2', outcome: 'skipped', reason: 'it cannot' },
      ],
    },
    { adapter: 'other', results: [{ name: 'one', promise: 'S1', outcome: 'broken', reason: 'expected 1\nto be 2' }] },
  ])
  expect(report).toMatchInlineSnapshot(`
    "| promise | memory | other |
    |---|---|---|
    | **S1** Atomic: rows, consumed messages and sends of a commit, all or nothing | ✓ 2 | ✗ 1 |
    | **S2** Fenced: no commit of an earlier claim succeeds, whatever the clocks say | skipped 1 | – |

    memory:

    - skipped: three (it cannot)

    other:

    - broken: one (expected 1)
    "
  `)
})

test('the table is written again with each adapter that has run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-conformance-'))
  try {
    writeReport(folder, { adapter: 'redis 7.0', results: [{ name: 'one', promise: 'S1', outcome: 'kept' }] })
    writeReport(folder, { adapter: 'memory', results: [{ name: 'one', promise: 'S1', outcome: 'kept' }] })
    expect(readFileSync(join(folder, 'REPORT.md'), 'utf8')).toContain('| promise | memory | redis 7.0 |')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
