import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runDemo, runTasks, startDemo, temporaryFolder } from './support/demo'
import { expectedDeviations, expectedRisk } from './support/expected'

interface Document {
  readonly transport: string
  readonly pipelineId: string
  readonly result: number
  readonly stocks: Readonly<Record<string, number>>
  readonly tasks: number
  readonly attempts: number
  readonly ranTwice?: number
  readonly takeOverMs?: number
}

function expectNumbers({ result, stocks, tasks }: Document): void {
  expect(result).toBeCloseTo(expectedRisk, 8)
  expect(Object.keys(stocks)).toEqual(['MSFT', 'AMZN', 'IBM', 'GOOG', 'AAPL'])
  for (const [stock, deviation] of Object.entries(stocks)) expect(deviation).toBeCloseTo(expectedDeviations[stock]!, 8)
  expect(tasks).toBe(12)
}

test('--json prints one document and nothing else, with the numbers of the prices', async () => {
  const { code, stdout, stderr } = await runDemo(['--json'])
  expect(stderr).toContain('Worker ')
  expect(code).toBe(0)
  const document = JSON.parse(stdout) as Document
  expect(Object.keys(document)).toEqual(['transport', 'pipelineId', 'result', 'stocks', 'tasks', 'attempts'])
  expect(document.transport).toMatch(/^sqlite:\/.*tasks\.db$/)
  expectNumbers(document)
  expect(document.attempts).toBe(12)
})

test('--json --crash: a worker killed in the middle changes no number', async () => {
  const { code, stdout, stderr } = await runDemo(['--json', '--crash'])
  expect(code).toBe(0)
  const [, ended, running] = /SIGKILL {4}to process \d+: (\d+) tasks had ended, (\d+) were running/.exec(stderr) ?? []
  expect(Number(ended)).toBeGreaterThanOrEqual(2)
  expect(Number(running)).toBeGreaterThanOrEqual(1)
  expect(Number(ended) + Number(running)).toBeLessThan(12)
  const document = JSON.parse(stdout) as Document
  expectNumbers(document)
  expect(document.ranTwice).toBeGreaterThan(0)
  expect(document.attempts).toBe(12 + document.ranTwice!)
  expect(document.takeOverMs).toBeGreaterThan(0)
})

test('for a person it prints a table, the drawing, where the file is, and commands that work as printed', async () => {
  const { code, stdout } = await runDemo([])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^MSFT {9}4\.29$/m)
  expect(stdout).toMatch(/^average {5}49\.29$/m)
  expect(stdout).toContain('├─ loadTimeseries → stdDev')
  const file = /Everything is in (.+)/.exec(stdout)?.[1]
  expect(existsSync(file!)).toBe(true)
  // What a shell would make of them: no word needs more than its quotes taken away.
  const commands = [...stdout.matchAll(/^ {2}npm run tasks -- (.+)$/gm)].map(([, line]) =>
    line!.match(/'[^']*'|\S+/g)!.map((word) => word.replaceAll("'", '')),
  )
  expect(commands).toHaveLength(3)
  const [result, doctor, graph] = await Promise.all(commands.map(runTasks))
  expect(result!.code).toBe(0)
  expect(Number(result!.stdout)).toBeCloseTo(expectedRisk, 8)
  expect(doctor!.code).toBe(0)
  expect(doctor!.stdout).toContain('survives a power cut')
  expect(graph!.code).toBe(0)
  expect(graph!.stdout).toMatch(/^flowchart/)
})

test('--transport takes another URL', async () => {
  const url = `sqlite:${join(temporaryFolder(), 'mine.db')}?synchronous=normal`
  const { code, stdout } = await runDemo(['--json', '--transport', url])
  expect(code).toBe(0)
  const document = JSON.parse(stdout) as Document
  expect(document.transport).toBe(url)
  expectNumbers(document)
})

test('TASKS_URL is the transport if no flag says another', async () => {
  const folder = temporaryFolder()
  const url = `sqlite:${join(folder, 'variable.db')}?synchronous=normal`
  const { code, stdout } = await runDemo(['--json'], { TASKS_URL: url })
  expect(code).toBe(0)
  expect((JSON.parse(stdout) as Document).transport).toBe(url)
})

test('an interrupted demo says where everything is, and its worker gives back what it had', async () => {
  const { ended, says, interrupt } = startDemo(['--crash'])
  const [, id] = await says(/Pipeline {3}(\S+):/)
  interrupt()
  const { code, stderr } = await ended
  expect(stderr).not.toContain('ERR_IPC')
  const [, file] = /^demo: interrupted by SIGINT; .* Everything is in (.+) \(TASKS_INTERRUPTED\)$/m.exec(stderr) ?? []
  expect(code).toBe(130)
  expect(existsSync(file!)).toBe(true)
  const asked = await runTasks(['status', id!, '--transport', `sqlite:${file}`, '--namespace', 'stocks', '--json'])
  // A report that nobody hears fails no task.
  expect(asked.stdout).not.toContain('FAILED')
})

test('with --json what ended it is a document too', async () => {
  // With --crash it takes seconds: the signal comes before the end.
  const { ended, says, interrupt } = startDemo(['--json', '--crash'])
  await says(/Worker /)
  interrupt()
  for (const [code, error, outcome] of [
    [130, 'TASKS_INTERRUPTED', await ended],
    [1, 'TASKS_UNKNOWN_SCHEME', await runDemo(['--json', '--transport', 'carrier:pigeon'])],
  ] as const) {
    expect(outcome.code).toBe(code)
    expect(JSON.parse(outcome.stdout)).toEqual({ error: { code: error, message: expect.any(String) as string } })
  }
})

test.each([
  [['--jsn'], 2, /demo: Unknown option '--jsn'[^]*Usage: npm run demo/],
  [['now'], 2, /demo: Unexpected argument 'now'[^]*Usage: npm run demo/],
  [['--transport', ''], 2, /demo: --transport needs a URL/],
  [['--transport', 'memory:'], 1, /"memory:" is seen by one process only, and the worker is another/],
  [
    ['--transport', 'carrier:pigeon'],
    1,
    /"carrier:pigeon" is not a transport: its scheme must be one of memory, sqlite/,
  ],
  [['--transport', 'sqlite:/nowhere/tasks.db'], 1, /the folder \/nowhere does not exist/],
])('%j is refused', async (words, code, message) => {
  const ended = await runDemo(words)
  expect(ended.stderr).toMatch(message)
  expect(ended.stdout).toBe('')
  expect(ended.code).toBe(code)
})

test('--help says what there is', async () => {
  const { code, stdout } = await runDemo(['--help'])
  expect(code).toBe(0)
  for (const flag of ['--json', '--crash', '--transport <url>', '--help']) expect(stdout).toContain(flag)
})
