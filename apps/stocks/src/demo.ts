// The demo, end to end: starts a worker, submits the workflow, shows what happened. With --crash it kills the worker in
// the middle.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, createClient, redactUrl, TaskError, type Client } from '@tasks/core'
import { parseDemoOptions, usage, type DemoOptions } from './demo-options'
import { bar, DemoOutput } from './demo-output'
import { Ledger } from './ledger'
import { readSymbols } from './prices'
import type { Report } from './reports'
import { portfolioRisk, tasks } from './tasks'
import { WorkerProcess } from './worker-process'

/** How much longer each task takes with --crash: so that there is a middle. */
const CRASH_TASK_MS = 300
const PATIENCE_MS = 120_000
const REFRESH_MS = 50

interface Story {
  readonly pipelineId: string
  readonly result: number
  readonly ledger: Ledger
  readonly tookMs: number
  readonly crash: Crash | undefined
}

interface Crash {
  readonly ended: number
  /** From SIGKILL to the first start of a task in the next worker. */
  readonly takeOverMs: number
  /** The part of it that the next worker process took to start. */
  readonly startMs: number
}

async function main(): Promise<number> {
  let options: DemoOptions
  try {
    options = parseDemoOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`demo: ${(error as Error).message}\n\n${usage}\n`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${usage}\n`)
    return 0
  }
  const output = new DemoOutput(options.json)
  try {
    await run(options, output)
    return 0
  } catch (error) {
    if (TaskError.is(error)) output.fail(error.code, error.message)
    else output.fail(undefined, String((error as Error).message ?? error), (error as Error).stack)
    return 1
  }
}

async function run(options: DemoOptions, output: DemoOutput): Promise<void> {
  const file =
    options.transport === undefined ? join(mkdtempSync(join(tmpdir(), 'tasks-stocks-')), 'tasks.db') : undefined
  const url = options.transport ?? `sqlite:${file}`
  const connection = await connect(url)
  try {
    const { transport } = connection
    if (!transport.capabilities.shared) {
      throw new TaskError(
        'TASKS_UNSUPPORTED',
        `"${redactUrl(url)}" is seen by one process only, and the worker is another: take another transport`,
      )
    }
    // What is wrong with it is said here, once, and not by a worker that dies of it.
    await (await transport.open({ namespace: tasks.namespace })).close()
    const stocks = await readSymbols()
    output.say(
      `Transport  ${redactUrl(url)} (${transport.capabilities.server}, durability "${transport.capabilities.durability}")`,
    )
    const client = createClient({ transport, namespace: tasks.namespace })
    try {
      const story = await tell(client, url, stocks, options.crash, output)
      show({ story, stocks, url, file, options, output })
    } finally {
      await client.close()
    }
  } finally {
    await connection.close()
  }
}

async function tell(
  client: Client,
  transport: string,
  stocks: readonly string[],
  crash: boolean,
  output: DemoOutput,
): Promise<Story> {
  const taskMs = crash ? CRASH_TASK_MS : 0
  const pipelineId = `risk-${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${process.pid}`
  const ledger = new Ledger(pipelineId)
  const watchers = new Set<(report: Report) => void>()
  const onReport = (report: Report): void => {
    ledger.record(report)
    for (const watcher of watchers) watcher(report)
  }
  /** Resolves at the first report that fits. */
  const heard = (fits: (report: Report) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const watcher = (report: Report): void => {
        if (!fits(report)) return
        watchers.delete(watcher)
        resolve()
      }
      watchers.add(watcher)
    })
  let worker: WorkerProcess | undefined
  const start = async (): Promise<WorkerProcess> => {
    const since = performance.now()
    const started = (worker = new WorkerProcess({ transport, taskMs, onReport }))
    await Promise.race([heard(({ type }) => type === 'ready'), started.failed])
    output.say(`Worker     process ${started.pid}, ready after ${Math.round(performance.now() - since)} ms`)
    return started
  }
  const stopOnSignal = (signal: NodeJS.Signals): void => {
    const where = redactUrl(transport).replace(/^sqlite:/, '')
    output.fail(
      'TASKS_INTERRUPTED',
      `interrupted by ${signal}; what was submitted goes on when a worker is up. Everything is in ${where}`,
    )
    void Promise.resolve(worker?.close()).then(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  process.once('SIGINT', stopOnSignal).once('SIGTERM', stopOnSignal)
  const refresh = setInterval(() => output.live(progressOf(ledger, stocks)), REFRESH_MS)
  try {
    let serving = await start()
    const since = performance.now()
    // A deviation can only be asked for when something has been loaded, and that has been committed.
    const middle = heard((report) => report.type === 'start' && report.task === 'stdDev')
    const submitted = await client.submit(portfolioRisk, stocks, { id: pipelineId })
    output.say(`Pipeline   ${pipelineId}: portfolioRisk(${stocks.join(', ')})`)
    let crashed: Crash | undefined
    if (crash) {
      await Promise.race([middle, serving.failed])
      await sleep(CRASH_TASK_MS / 2)
      const killed = performance.now()
      await serving.kill()
      const ended = ledger.ended
      output.say(
        `SIGKILL    to process ${serving.pid}: ${ended} tasks had ended, ${ledger.running.length} were running (${count(ledger.running)})`,
      )
      const resumed = heard(({ type }) => type === 'start').then(() => performance.now())
      serving = await start()
      const startMs = performance.now() - killed
      const takeOverMs = (await Promise.race([resumed, serving.failed])) - killed
      crashed = { ended, takeOverMs: Math.round(takeOverMs), startMs: Math.round(startMs) }
      output.say(
        `Take-over  ${crashed.takeOverMs} ms from SIGKILL to the next start of a task, of which ${crashed.startMs} ms for the new process`,
      )
    }
    const result = await Promise.race([submitted.result({ timeoutMs: PATIENCE_MS }), serving.failed])
    const tookMs = Math.round(performance.now() - since)
    return { pipelineId, result, ledger, tookMs, crash: crashed }
  } finally {
    clearInterval(refresh)
    output.settle()
    await worker?.close()
    process.off('SIGINT', stopOnSignal).off('SIGTERM', stopOnSignal)
  }
}

interface Scene {
  readonly story: Story
  readonly stocks: readonly string[]
  readonly url: string
  readonly file: string | undefined
  readonly options: DemoOptions
  readonly output: DemoOutput
}

function show({ story, stocks, url, file, options, output }: Scene): void {
  const { pipelineId, result, ledger, tookMs, crash } = story
  const deviations = ledger.deviations(stocks)
  if (options.json) {
    output.document({
      transport: redactUrl(url),
      pipelineId,
      result,
      stocks: deviations,
      tasks: ledger.tasks,
      attempts: ledger.attempts,
      ...(crash === undefined ? {} : { ranTwice: ledger.ranTwice, takeOverMs: crash.takeOverMs }),
    })
    return
  }
  const width = Math.max(...stocks.map((stock) => stock.length), 'average'.length)
  output.say(
    `Done       ${ledger.tasks} tasks in ${tookMs} ms, ${ledger.attempts} starts${crash === undefined ? '' : `: ${ledger.ranTwice} tasks ran twice`}`,
  )
  output.say()
  output.say(`${'stock'.padEnd(width)}  standard deviation of the price, in dollars`)
  for (const [stock, deviation] of Object.entries(deviations))
    output.say(`${stock.padEnd(width)}  ${deviation.toFixed(2).padStart(8)}`)
  output.say(`${'average'.padEnd(width)}  ${result.toFixed(2).padStart(8)}`)
  output.say()
  output.say('The pipeline that portfolioRisk returned:')
  output.say()
  for (const line of portfolioRisk(stocks).toText().split('\n')) output.say(`  ${line}`)
  output.say()
  if (file !== undefined) output.say(`Everything is in ${file}`)
  output.say('Try next:')
  for (const command of commandsToTry(pipelineId, stocks, url)) output.say(`  ${command}`)
}

function commandsToTry(pipelineId: string, stocks: readonly string[], url: string): readonly string[] {
  // A URL with a password is not for the screen.
  const shown = redactUrl(url) === url ? quoted(url) : '"$TASKS_URL"'
  const where = `--transport ${shown} --namespace ${tasks.namespace}`
  return [
    `npm run tasks -- result ${pipelineId} ${where}`,
    `npm run tasks -- doctor ${where}`,
    `npm run tasks -- graph portfolioRisk '${JSON.stringify(stocks)}' --call --mermaid --module apps/stocks/src/tasks.ts`,
  ]
}

function quoted(text: string): string {
  return /^[\w:/.@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

function progressOf(ledger: Ledger, stocks: readonly string[]): string {
  // portfolioRisk, two tasks for each stock, average.
  const total = 2 + 2 * stocks.length
  return `${bar(ledger.ended, total)} ${ledger.ended} of ${total} tasks  ${count(ledger.running)}`
}

/** `stdDev ×3, average`. */
function count(names: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return Array.from(counts, ([name, times]) => (times === 1 ? name : `${name} ×${times}`)).join(', ')
}

process.exitCode = await main()
