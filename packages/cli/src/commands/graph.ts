import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import {
  isPipeline,
  parseDefinition,
  TaskError,
  toMermaid,
  toText,
  type Definition,
  type DrawOptions,
  type Submittable,
} from '@tasks/core'
import type { Command } from 'commander'
import { parseArguments } from '../json-arguments'
import { Project, type CommonFlags } from '../project'
import { workOf } from '../task-module'
import type { Terminal } from '../terminal'
import { parseLimit } from './list'

interface GraphFlags extends CommonFlags {
  readonly definition?: string
  readonly call?: boolean
  readonly mermaid?: boolean
  readonly maxChains?: string
}

export function addGraph(program: Command, terminal: Terminal): void {
  program
    .command('graph')
    .description('draw a pipeline: of a module, or of a JSON definition; nothing is sent')
    .argument('[name]', 'an exported pipeline of --module, or a task')
    .argument('[args...]', 'the arguments of the task, one JSON value each')
    .option('--call', 'call the function of the task, here, and draw the pipeline that it returns')
    .option('--definition <file>', 'draw this JSON definition (what pipeline.toJSON() gives); - for stdin')
    .option('--mermaid', 'as a Mermaid flowchart instead of a tree')
    .option('--max-chains <number>', 'of each group draw so many chains at most')
    .action(async (name: string | undefined, words: readonly string[], _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<GraphFlags>()
      const options: DrawOptions = flags.maxChains === undefined ? {} : { maxChains: parseLimit(flags.maxChains) }
      const work = await workToDraw(terminal, name, words, flags)
      const [text, mermaid] = [toText(work, options), toMermaid(work, options)]
      terminal.answer(
        { definition: isPipeline(work) ? work.toJSON() : work, text, mermaid },
        flags.mermaid === true ? mermaid : text,
      )
    })
}

async function workToDraw(
  terminal: Terminal,
  name: string | undefined,
  words: readonly string[],
  flags: GraphFlags,
): Promise<Submittable<unknown, never> | Definition> {
  if ((name === undefined) === (flags.definition === undefined))
    throw new TaskError('TASKS_ARGUMENTS', 'graph takes either a name or --definition')
  if (name === undefined) return readDefinition(flags.definition!)
  const args = parseArguments(words)
  const module = await (await Project.load(flags)).requireModule()
  const work = workOf(module, name, args)
  const task = module.tasks.find(name)
  if (task === undefined) return work
  if (flags.call !== true) {
    if (!terminal.json)
      terminal.note(`"${name}" is one task; if it returns a pipeline, --call calls it here and draws that`, 'dim')
    return work
  }
  const returned: unknown = await task(...args)
  if (isPipeline(returned)) return returned
  throw new TaskError(
    'TASKS_ARGUMENTS',
    `the task "${name}" returned no pipeline that could be drawn, but ${returned === null ? 'null' : typeof returned}`,
  )
}

async function readDefinition(file: string): Promise<Definition> {
  try {
    return parseDefinition(file === '-' ? Buffer.from(await readAll(process.stdin)) : await readFile(file))
  } catch (error) {
    if ((error as { readonly code?: string }).code !== 'ENOENT') throw error
    throw new TaskError('TASKS_ARGUMENTS', `there is no file ${file}`)
  }
}
