import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile, type Bundle } from '../src/bundle'
import { workloads } from '../src/catalogue'
import { runRounds } from '../src/schedule'

let bundle: Bundle
beforeAll(async () => {
  bundle = await compile()
})
afterAll(() => bundle.remove())

// Figures are not asserted: only that each workload ends, and that what ran and what came out was as it must be.
describe.each(['memory:', 'sqlite:'])('on %s', (transport) => {
  test.each(workloads.map((workload) => [workload.name, workload] as const))(
    '%s passes its own checks',
    async (_, workload) => {
      const [series] = await runRounds({
        workloads: [workload],
        transports: [transport],
        rounds: 1,
        lane: 'local',
        quick: true,
        bundle,
        tell: () => undefined,
      })
      expect(series!.failures).toEqual([])
      expect(series!.rounds[0]!.figures.length).toBeGreaterThan(0)
      expect(series!.rounds[0]!.figures.filter(({ value }) => Number.isNaN(value))).toEqual([])
    },
  )
})

test('without the local lane a 1-N-1 passes its checks too', async () => {
  const fanOut = workloads.filter(({ name }) => name === 'fan-out')
  const settings = { rounds: 1, lane: 'queue', quick: true, bundle, tell: () => undefined } as const
  const [series] = await runRounds({ workloads: fanOut, transports: ['memory:'], ...settings })
  expect(series!.failures).toEqual([])
})
