import { createTasks, type PipelineHandle, type SubmitOptions, TaskError } from '@tasks/core'
import type { Command } from 'commander'
import { parseDuration } from '../duration'
import { parseArguments, parseJson } from '../json-arguments'
import { answerOutcome } from '../outcome'
import { Project, type CommonFlags } from '../project'
import { workOf } from '../task-module'
import type { Terminal } from '../terminal'

interface SubmitFlags extends CommonFlags {
  readonly id?: string
  readonly wait?: boolean
  readonly timeout?: string
  readonly delay?: string
  readonly meta?: string
  readonly onDuplicate?: string
  readonly queue?: string
}

const ON_DUPLICATE = ['return', 'reject', 'restart'] as const

export function addSubmit(program: Command, terminal: Terminal): void {
  program
    .command('submit')
    .description('submit a task with its arguments, or a pipeline that the module exports; prints the id')
    .argument('<name>', 'the name of a task, or of an exported pipeline of --module')
    .argument('[args...]', `one JSON value per argument: '["MSFT","IBM"]' 3 '"text"'`)
    .option('--id <id>', 'the id of the pipeline; submitting it again finds the run that exists')
    .option('-w, --wait', 'wait for the end and print the result, as `result` does')
    .option('--timeout <duration>', 'with --wait: give up after 30s, 5m, …; the run goes on')
    .option('--delay <duration>', 'start after 30s, 5m, …')
    .option('--meta <json>', 'an object that travels with the pipeline')
    .option('--on-duplicate <what>', 'if the id exists: return (default), reject or restart')
    .option('--queue <name>', 'the queue of the task, where no module says it')
    .addHelpText(
      'after',
      '\nWithout --module the name is sent as it is, to queue `default`, without retries: how a task is bound is known to its module.',
    )
    .action(async (name: string, words: readonly string[], _: unknown, command: Command) => {
      await submit(terminal, name, words, command.optsWithGlobals<SubmitFlags>())
    })
}

async function submit(terminal: Terminal, name: string, words: readonly string[], flags: SubmitFlags): Promise<void> {
  const args = parseArguments(words)
  const options = optionsOf(flags)
  const timeoutMs = flags.timeout === undefined ? undefined : parseDuration('--timeout', flags.timeout)
  const project = await Project.load(flags)
  const module = await project.module()
  const namespace = await project.namespace()
  const work = module === undefined ? declared(namespace, name, flags.queue).send(...args) : workOf(module, name, args)
  if (module !== undefined && flags.queue !== undefined && module.tasks.find(name) === undefined) {
    throw new TaskError('TASKS_OPTIONS', '--queue is for a task; the tasks of a pipeline have their own')
  }
  await project.withClient('create', async (client) => {
    const pipeline = module !== undefined && flags.queue !== undefined ? work.set({ queue: flags.queue }) : work
    const run: PipelineHandle<unknown> = await client.submit(pipeline as never, options)
    if (flags.wait !== true) return terminal.answer({ id: run.id, namespace }, run.id)
    if (!terminal.json) terminal.note(run.id, 'dim')
    return answerOutcome(terminal, run, { timeoutMs })
  })
}

function declared(namespace: string, name: string, queue: string | undefined) {
  return createTasks({ namespace }).declare<(...args: readonly unknown[]) => unknown>(
    name,
    queue === undefined ? {} : { queue },
  )
}

function optionsOf({ id, delay, meta, onDuplicate, timeout, wait }: SubmitFlags): SubmitOptions {
  if (timeout !== undefined && wait !== true) throw new TaskError('TASKS_OPTIONS', '--timeout needs --wait')
  const duplicate = ON_DUPLICATE.find((known) => known === onDuplicate)
  if (onDuplicate !== undefined && duplicate === undefined) {
    throw new TaskError('TASKS_OPTIONS', `--on-duplicate must be ${ON_DUPLICATE.join(', ')}, not "${onDuplicate}"`)
  }
  const parsed = meta === undefined ? undefined : parseJson('--meta', meta)
  if (parsed !== undefined && (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))) {
    throw new TaskError('TASKS_OPTIONS', `--meta must be a JSON object, not ${meta}`)
  }
  return {
    ...(id === undefined ? {} : { id }),
    ...(delay === undefined ? {} : { delayMs: parseDuration('--delay', delay) }),
    ...(parsed === undefined ? {} : { meta: parsed as Readonly<Record<string, unknown>> }),
    ...(duplicate === undefined ? {} : { onDuplicate: duplicate }),
  }
}
