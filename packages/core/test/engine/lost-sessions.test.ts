import { expect, test } from 'vitest'
import { inParallel } from '../../src/pipeline'
import { later, PATIENCE_MS, system } from '../support/system'

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

test.each(['lost', 'unanswered', 'taken'] as const)(
  'a task runs once though the commit with its outcome was %s',
  async (fault) => {
    const { tasks, worker, client, connect } = system()
    const starts = new Map<string, number>()
    const count = (key: string): void => void starts.set(key, (starts.get(key) ?? 0) + 1)
    const first = tasks.bind('first', async (value: number) => {
      count(`first ${value}`)
      await later(value % 4)
      return value
    })
    const second = tasks.bind('second', (value: number) => {
      count(`second ${value}`)
      return value
    })
    let commits = 0
    let faults = 0
    const faulty = connect({
      faults: { commit: () => (++commits % 4 === 0 && faults < 40 ? (faults++, fault) : undefined) },
    })
    await worker({ concurrency: 8, leaseMs: 5_000 }, faulty)
    const submitter = client()
    const runs = []
    for (let from = 0; from < 400; from += 20) {
      const chains = numbers(20).map((index) => first.send(from + index).continueWith(second))
      runs.push(await submitter.submit(inParallel(chains)))
    }
    const results = await Promise.all(runs.map((run) => run.result({ timeoutMs: PATIENCE_MS })))
    expect(results.flat()).toEqual(numbers(400))
    expect(faults).toBeGreaterThan(5)
    expect([...starts].filter(([, times]) => times !== 1)).toEqual([])
  },
  60_000,
)
