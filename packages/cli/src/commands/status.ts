import type { PipelineStatus, ReturnedPipeline } from '@tasks/core'
import type { Command } from 'commander'
import { showDuration } from '../duration'
import { lookUp } from '../lookup'
import { Project, type CommonFlags } from '../project'
import { pairs } from '../table'
import type { Terminal } from '../terminal'

export function addStatus(program: Command, terminal: Terminal): void {
  program
    .command('status')
    .description('where a pipeline stands')
    .argument('<id>', 'the id that `submit` printed')
    .action(async (id: string, _: unknown, command: Command) => {
      const project = await Project.load(command.optsWithGlobals<CommonFlags>())
      const status = await project.withClient('existing', (client) => lookUp(client, id))
      const { tasks, done, attempts, createdAt, finishedAt, meta } = status
      terminal.answer(statusDocument(status), (style) =>
        pairs([
          ['id', status.id],
          ['status', style(styleOf(status), status.status)],
          ['tasks', `${done} of ${tasks} done, ${attempts} attempts`],
          ...(createdAt === undefined ? [] : [['created', new Date(createdAt).toISOString()] as const]),
          ...(createdAt === undefined || finishedAt === undefined
            ? []
            : [
                [
                  'finished',
                  `${new Date(finishedAt).toISOString()} (after ${showDuration(finishedAt - createdAt)})`,
                ] as const,
              ]),
          ...(meta === undefined ? [] : [['meta', JSON.stringify(meta)] as const]),
        ]),
      )
    })
}

/** Times as text: what people and other programs read. */
export function statusDocument({
  createdAt,
  finishedAt,
  ...status
}: PipelineStatus | ReturnedPipeline): Readonly<Record<string, unknown>> {
  return {
    ...status,
    ...(createdAt === undefined ? {} : { createdAt: new Date(createdAt) }),
    ...(finishedAt === undefined ? {} : { finishedAt: new Date(finishedAt) }),
  }
}

export function styleOf({ status }: PipelineStatus): 'green' | 'red' | 'yellow' {
  return status === 'COMPLETED' ? 'green' : status === 'FAILED' || status === 'CANCELLED' ? 'red' : 'yellow'
}
