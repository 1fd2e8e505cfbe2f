import { TaskError, type Client, type DescribeOptions, type PipelineDescription } from '@tasks/core'
import type { Command } from 'commander'
import { drawDescription } from '../drawing'
import { interruptible } from '../interruption'
import { lookUp } from '../lookup'
import { Project, type CommonFlags } from '../project'
import type { Terminal } from '../terminal'
import { parseLimit } from './list'
import { statusDocument } from './status'

const REFRESH_MS = 250

interface ShowFlags extends CommonFlags {
  readonly watch?: boolean
  readonly maxChains?: string
}

export function addShow(program: Command, terminal: Terminal): void {
  program
    .command('show')
    .description('where each entry of a pipeline stands, as a tree')
    .argument('<id>', 'the id that `submit` printed')
    .option('-w, --watch', 'draw it again until the run has ended')
    .option('--max-chains <number>', 'of each group tell so many chains at most (default: 10)')
    .action(async (id: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ShowFlags>()
      const options = flags.maxChains === undefined ? {} : { maxChains: parseLimit(flags.maxChains) }
      const project = await Project.load(flags)
      await project.withClient('existing', async (client) => {
        await lookUp(client, id)
        const told = flags.watch === true ? await watch(terminal, client, id, options) : await ask(client, id, options)
        terminal.answer(statusDocument(told), terminal.picture(drawDescription(told, Date.now())))
      })
    })
}

async function ask(client: Client, id: string, options: DescribeOptions): Promise<PipelineDescription> {
  const told = await client.describe(id, options)
  if (told !== undefined) return told
  throw new TaskError('TASKS_NOT_FOUND', `there is no pipeline "${id}" any more: its retention has ended`)
}

/** Draws until the run has ended. */
function watch(terminal: Terminal, client: Client, id: string, options: DescribeOptions): Promise<PipelineDescription> {
  return interruptible(async (signal) => {
    for (;;) {
      const told = await ask(client, id, options)
      if (told.finishedAt !== undefined) return told
      terminal.live(drawDescription(told, Date.now()))
      await new Promise((resolve) => setTimeout(resolve, REFRESH_MS))
      signal.throwIfAborted()
    }
  })
}
