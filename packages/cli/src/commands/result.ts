import { TaskError, type Client } from '@tasks/core'
import type { Command } from 'commander'
import { parseDuration } from '../duration'
import { lookUp } from '../lookup'
import { answerOutcome } from '../outcome'
import { Project, type CommonFlags } from '../project'
import type { Terminal } from '../terminal'

export function addResult(program: Command, terminal: Terminal): void {
  program
    .command('result')
    .description('wait for the end of a pipeline and print its result; exit code 1 if it failed')
    .argument('<id>', 'the id that `submit` printed')
    .option('--timeout <duration>', 'give up after 30s, 5m, …; the run goes on (default: wait as long as it takes)')
    .action(async (id: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags & { timeout?: string }>()
      const timeoutMs = flags.timeout === undefined ? undefined : parseDuration('--timeout', flags.timeout)
      const project = await Project.load(flags)
      await project.withClient('existing', (client) =>
        answerOutcome(terminal, client.attach(id), { timeoutMs, refusal: refusalOf(client, id) }),
      )
    })
}

/**
 * An id that does not exist is told, not waited for. One that nobody can tell of yet is waited for: a worker may come.
 */
async function refusalOf(client: Client, id: string): Promise<TaskError | undefined> {
  try {
    await lookUp(client, id)
  } catch (error) {
    if (TaskError.is(error) && error.code === 'TASKS_NOT_FOUND') return error
  }
  return undefined
}
