import { TaskError } from '@tasks/core'
import type { Command } from 'commander'
import { showDuration } from '../duration'
import { Project, type CommonFlags } from '../project'
import { table } from '../table'
import type { Terminal } from '../terminal'
import { statusDocument } from './status'

const STATUSES = ['RUNNING', 'PAUSED', 'CANCELLING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const

export function addList(program: Command, terminal: Terminal): void {
  program
    .command('list')
    .alias('ls')
    .description('the pipelines of the namespace, in order of their ids')
    .option('-s, --status <status>', 'only RUNNING, COMPLETED, FAILED or CANCELLED')
    .option('-l, --limit <number>', 'at most so many', '100')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags & { status?: string; limit: string }>()
      const limit = parseLimit(flags.limit)
      const status = STATUSES.find((known) => known === flags.status?.toUpperCase())
      if (flags.status !== undefined && status === undefined) {
        throw new TaskError('TASKS_OPTIONS', `--status must be one of ${STATUSES.join(', ')}, not "${flags.status}"`)
      }
      const project = await Project.load(flags)
      const pipelines = await project.withClient('existing', (client) =>
        client.list({ limit, ...(status === undefined ? {} : { status }) }),
      )
      const rows = pipelines.map(({ id, status: its, done, tasks, createdAt, finishedAt }) => [
        id,
        its,
        `${done}/${tasks}`,
        new Date(createdAt).toISOString(),
        finishedAt === undefined ? '' : showDuration(finishedAt - createdAt),
      ])
      terminal.answer(
        { pipelines: pipelines.map(statusDocument) },
        rows.length === 0 ? '' : table(['ID', 'STATUS', 'TASKS', 'CREATED', 'TOOK'], rows),
      )
      if (rows.length === 0 && !terminal.json) terminal.note('no pipelines')
    })
}

export function parseLimit(text: string): number {
  const limit = Number(text)
  if (Number.isSafeInteger(limit) && limit >= 1) return limit
  throw new TaskError('TASKS_OPTIONS', `--limit must be an integer of at least 1, not "${text}"`)
}
