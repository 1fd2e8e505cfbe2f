// Looks at everything that a program of this project would meet, changes nothing, and says what is wrong.
import {
  createClient,
  redactUrl,
  TaskError,
  type Capabilities,
  type Connection,
  type Setting,
  type Settings,
  type Transport,
} from '@tasks/core'
import type { Command } from 'commander'
import { showDuration } from '../duration'
import { exitCodeOf, exitCodes, type ExitCode } from '../exit-codes'
import { printableError } from '../printable'
import { Project, showTransport, type CommonFlags } from '../project'
import { pairs } from '../table'
import { isRegistry, type TaskModule } from '../task-module'
import type { Style, Terminal } from '../terminal'
import { versionOf, versions } from '../versions'

interface Check {
  readonly name: string
  readonly verdict: 'ok' | 'warning' | 'problem'
  readonly message: string
  /** What the shell is told if this is the first problem. */
  readonly exitCode?: ExitCode
}

type Shown = string | number | boolean | readonly string[] | null

interface Report {
  readonly versions: Record<string, string>
  readonly settings: readonly {
    readonly name: string
    readonly value: Shown
    readonly source: string
    readonly from?: string
  }[]
  readonly checks: Check[]
  capabilities?: Capabilities
  partitions?: number
}

const DURABILITY: Readonly<Record<Capabilities['durability'], string>> = {
  none: 'nothing survives: for tests only',
  process: 'survives the death of a process; a power cut may lose the last commits',
  fsync: 'survives a power cut',
  replicated: 'survives the loss of a server',
}

export function addDoctor(program: Command, terminal: Terminal): void {
  program
    .command('doctor')
    .description(
      'can the transport be reached, is it safe, does anybody answer, which versions, and which settings are in force and why',
    )
    .option('--answer-ms <number>', 'how long owners may take to answer', '2000')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags & { answerMs: string }>()
      const answerMs = Number(flags.answerMs)
      if (!(answerMs > 0))
        throw new TaskError('TASKS_OPTIONS', `--answer-ms must be a number above 0, not "${flags.answerMs}"`)
      const project = await Project.load(flags)
      const report = await examine(project, answerMs)
      const problem = report.checks.find(({ verdict }) => verdict === 'problem')
      terminal.exitCode = problem === undefined ? exitCodes.ok : (problem.exitCode ?? exitCodes.failed)
      const { checks, ...rest } = report
      const document = {
        ok: problem === undefined,
        configFile: project.config.file ?? null,
        ...rest,
        checks: checks.map(({ name, verdict, message }) => ({ name, verdict, message })),
      }
      terminal.answer(document, (style) => show(report, style))
    })
}

async function examine(project: Project, answerMs: number): Promise<Report> {
  const checks: Check[] = []
  const module = await attempt(checks, 'tasks', async () => {
    const found = await project.module()
    return {
      value: found,
      message:
        found === undefined
          ? 'no module is set: none is needed but for `worker`, and to submit as the tasks are bound'
          : `${found.tasks.names().length} in ${found.path}: ${found.tasks.names().join(', ')}`,
    }
  })
  const settings = shownSettings(project.config.settings, module)
  const report: Report = { versions: versions(), settings, checks }
  const namespace = await attempt(checks, 'namespace', async () => {
    // A module that does not load has been told of: what is set goes without it.
    const { value: set } = project.config.settings.namespace
    const value = module === undefined && set !== undefined ? set : await project.namespace()
    return { value, message: value }
  })
  const connection = await attempt(checks, 'transport', async () => {
    const opened = await project.connect('existing')
    return { value: opened, message: reached(project, opened.transport).message }
  })
  if (connection === undefined) return report
  try {
    const { transport } = connection
    const adapter = versionOf(`@tasks/transport-${transport.name}`, project.folders())
    if (adapter !== undefined) report.versions[`@tasks/transport-${transport.name}`] = adapter
    const next = checks.length
    if (namespace !== undefined)
      await examineNamespace(report, connection, namespace, module?.tasks.queues() ?? ['default'], answerMs)
    // Of some transports they are known only when a namespace has been opened.
    report.capabilities = transport.capabilities
    checks.splice(next - 1, 1, reached(project, transport), safety(transport))
  } finally {
    await connection.close()
  }
  return report
}

function reached({ config }: Project, { capabilities }: Transport): Check {
  return {
    name: 'transport',
    verdict: 'ok',
    message: `${showTransport(config.settings.transport.value!)} (${capabilities.server})`,
  }
}

function safety({ capabilities: { durability } }: Transport): Check {
  return {
    name: 'safety',
    verdict: durability === 'none' || durability === 'process' ? 'warning' : 'ok',
    message: `durability "${durability}": ${DURABILITY[durability]}`,
  }
}

async function examineNamespace(
  report: Report,
  { transport }: Connection,
  namespace: string,
  queues: readonly string[],
  answerMs: number,
): Promise<void> {
  const { checks } = report
  const space = await attempt(checks, 'store', async () => {
    const since = performance.now()
    const opened = await transport.open({ namespace })
    return {
      value: opened,
      message: `"${namespace}" has ${opened.partitions} partitions; opened in ${showDuration(performance.now() - since)}`,
    }
  })
  if (space === undefined) return
  report.partitions = space.partitions
  const client = createClient({ transport, namespace, answerMs })
  try {
    const answering = await attempt(checks, 'owners', async () => {
      const { partitions, answering: count, slowestMs } = await client.owners()
      return {
        value: count,
        message:
          count === 0
            ? `no owner answered within ${answerMs} ms: is a worker up? What was submitted since one was waits unseen`
            : `${count} of ${partitions} partitions answered, the slowest after ${showDuration(slowestMs)}`,
        verdict: count === partitions ? ('ok' as const) : ('warning' as const),
      }
    })
    for (const queue of queues) {
      await attempt(checks, `queue ${queue}`, async () => {
        const age = await space.backlog(queue)
        const waits = age !== undefined && age > 10_000
        return {
          value: age,
          message:
            age === undefined
              ? 'nothing waits'
              : `the oldest message has waited for ${showDuration(age)}${waits && answering === 0 ? ': no worker takes it' : ''}`,
          verdict: waits ? ('warning' as const) : ('ok' as const),
        }
      })
    }
    await attempt(checks, 'dead letters', async () => {
      const most = 1_000
      const { length } = await client.deadLetters.list({ limit: most })
      const count = length === most ? `${most} or more` : String(length)
      return {
        value: length,
        message: length === 0 ? 'none' : `${count}: look at them with tasks dlq ls`,
        verdict: length === 0 ? ('ok' as const) : ('warning' as const),
      }
    })
  } finally {
    await client.close()
    await space.close()
  }
}

/** One check. What it throws is the problem, and the others go on. */
async function attempt<Value>(
  checks: Check[],
  name: string,
  look: () => Promise<{ readonly value: Value; readonly message: string; readonly verdict?: Check['verdict'] }>,
): Promise<Value | undefined> {
  try {
    const { value, message, verdict = 'ok' } = await look()
    checks.push({ name, verdict, message })
    return value
  } catch (error) {
    const { code, message } = printableError(error)
    checks.push({
      name,
      verdict: 'problem',
      message: code === undefined ? message : `${message} (${code})`,
      exitCode: exitCodeOf(error),
    })
    return undefined
  }
}

function shownSettings(settings: Settings, module: TaskModule | undefined): Report['settings'] {
  return Object.entries(settings as Readonly<Record<string, Setting<unknown>>>).map(
    ([name, { value, source, name: from }]) => {
      // Set nowhere, it is that of the tasks.
      if (name === 'namespace' && value === undefined && module !== undefined)
        return { name, value: module.tasks.namespace, source: 'module', from: module.path }
      return { name, value: shownValue(value), source, ...(from === undefined ? {} : { from }) }
    },
  )
}

function shownValue(value: unknown): Shown {
  if (typeof value === 'string') return redactUrl(value)
  if (value === undefined) return null
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value as readonly string[]
  if (isRegistry(value)) return `tasks of "${value.namespace}"`
  if ('capabilities' in (value as object)) return showTransport(value as Transport)
  return `{ ${Object.keys(value as object).join(', ')} }`
}

const MARKS = { ok: ['✓', 'green'], warning: ['!', 'yellow'], problem: ['✗', 'red'] } as const

function show({ versions: found, settings, checks }: Report, style: (style: Style, text: string) => string): string {
  const width = Math.max(...checks.map(({ name }) => name.length))
  return [
    style('bold', 'Versions'),
    pairs(Object.entries(found)),
    '',
    style('bold', 'Settings'),
    pairs(
      settings.map(
        ({ name, value, source, from }) =>
          [
            name,
            `${typeof value === 'object' ? (value?.join(', ') ?? '-') : value}  ${style('dim', `(${source}${from === undefined ? '' : ` ${from}`})`)}`,
          ] as const,
      ),
    ),
    '',
    style('bold', 'Checks'),
    ...checks.map(
      ({ name, verdict, message }) =>
        `${style(MARKS[verdict][1], MARKS[verdict][0])} ${name.padEnd(width)}  ${message}`,
    ),
  ].join('\n')
}
