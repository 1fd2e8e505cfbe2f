// The command line as a whole: which commands there are, and how every one of them ends.
import { TaskError } from '@tasks/core'
import { Command, CommanderError } from 'commander'
import { addControl } from './commands/control'
import { addDlq } from './commands/dlq'
import { addDoctor } from './commands/doctor'
import { addEvents } from './commands/events'
import { addGraph } from './commands/graph'
import { addList } from './commands/list'
import { addResult } from './commands/result'
import { addShow } from './commands/show'
import { addStatus } from './commands/status'
import { addSubmit } from './commands/submit'
import { addWorker } from './commands/worker'
import { exitCodeMeanings, exitCodeOf, exitCodes } from './exit-codes'
import { Interruption } from './interruption'
import { printableError } from './printable'
import { Terminal } from './terminal'
import { ownVersion } from './versions'

const COMMANDS = [
  addWorker,
  addSubmit,
  addStatus,
  addShow,
  addResult,
  addList,
  addControl,
  addEvents,
  addDlq,
  addGraph,
  addDoctor,
]

/**
 * Runs one command.
 * @param words what follows `tasks`
 * @returns the exit code
 */
export async function run(words: readonly string[]): Promise<number> {
  const flags = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined)
  const terminal = new Terminal(flags.includes('--json'))
  let complaint = ''
  const program = createProgram(terminal, (text) => (complaint += text))
  try {
    if (words.length === 0) program.outputHelp({ error: true })
    else await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    terminal.settle()
    if (error instanceof CommanderError) return endOfParsing(terminal, error, complaint)
    return fail(terminal, error)
  }
  if (complaint === '') return terminal.exitCode
  terminal.note(complaint.trimEnd())
  return exitCodes.usage
}

function createProgram(terminal: Terminal, complain: (text: string) => void): Command {
  const program = new Command('tasks')
    .description('Durable background tasks: run workers, submit pipelines, look at them, redrive dead letters.')
    .version(ownVersion(), '-V, --version')
    .option('-t, --transport <url>', 'sqlite:./tasks.db, redis://…, nats://…, kafka://… (TASKS_URL)')
    .option('-n, --namespace <name>', 'default: that of the module (TASKS_NAMESPACE)')
    .option('-m, --module <file>', 'the module that exports the registry of tasks (TASKS_MODULE)')
    .option('--config <file>', 'in place of tasks.config.{ts,js,mjs} of the working directory')
    .option('--json', 'one JSON document on stdout, and nothing else; errors are { "error": … }')
    .option('-v, --verbose', 'log more, to stderr')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeErr: complain })
    .exitOverride()
    .showSuggestionAfterError()
  program.addHelpText(
    'after',
    `\nA flag wins over the environment, that over tasks.config.*, that over the default: \`tasks doctor\` tells.\n\nExit codes:\n${exitCodeTable()}`,
  )
  for (const add of COMMANDS) add(program, terminal)
  return program
}

function exitCodeTable(): string {
  return exitCodeMeanings.map(([code, meaning]) => `  ${String(code).padEnd(5)}${meaning}`).join('\n')
}

/** Help and version end parsing too, without fault. */
function endOfParsing(terminal: Terminal, error: CommanderError, complaint: string): number {
  if (error.exitCode === 0) return exitCodes.ok
  const isHelp = error.code === 'commander.help'
  const message = isHelp ? 'a command is missing' : error.message.replace(/^error: /, '')
  if (terminal.json) terminal.answer({ error: { code: 'TASKS_USAGE', message } }, '')
  else terminal.note(isHelp ? complaint.trimEnd() : `tasks: ${message}`)
  return exitCodes.usage
}

function fail(terminal: Terminal, error: unknown): number {
  if (error instanceof Interruption) {
    if (terminal.json) terminal.answer({ error: { code: 'TASKS_INTERRUPTED', message: error.message } }, '')
    else terminal.note(`tasks: ${error.message}`)
    return error.exitCode
  }
  if (terminal.json && !terminal.hasAnswered) terminal.answer({ error: printableError(error) }, '')
  else {
    const { code, message } = printableError(error)
    terminal.note(`tasks: ${message}${code === undefined ? '' : ` (${code})`}`, 'red')
    // Of the user's code, where it happened; of ours, only what nobody foresaw.
    const stack = TaskError.is(error) ? (error.cause as Error | undefined)?.stack : (error as Error | undefined)?.stack
    if (stack !== undefined) terminal.note(stack, 'dim')
  }
  return exitCodeOf(error)
}
