import { pipelineStatuses, TaskError, type ListOptions } from '@tasks/core'
import type { Command } from 'commander'
import { parseDuration, showDuration } from '../duration'
import { Project, type CommonFlags } from '../project'
import { table } from '../table'
import type { Terminal } from '../terminal'
import { statusDocument } from './status'

interface ListFlags extends CommonFlags {
  readonly status?: string
  readonly limit: string
  readonly name?: string
  readonly since?: string
  readonly after?: string
  readonly children?: true
}

export function addList(program: Command, terminal: Terminal): void {
  program
    .command('list')
    .alias('ls')
    .description('the pipelines of the namespace, in order of their ids')
    .option('-s, --status <status>', 'only RUNNING, PAUSED, CANCELLING, COMPLETED, FAILED or CANCELLED')
    .option('--name <name>', 'only those whose first task has this name, or display name')
    .option('--since <when>', 'only those created then or later: 30m, 2h, 1d ago, or 2026-11-21T10:00:00Z')
    .option('--after <id>', 'only those whose id comes after this one: to go on after a page')
    .option('--children', 'also what their tasks have returned, each after its root')
    .option('-l, --limit <number>', 'at most so many', '100')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ListFlags>()
      const limit = parseLimit(flags.limit)
      const status = pipelineStatuses.find((known) => known === flags.status?.toUpperCase())
      if (flags.status !== undefined && status === undefined) {
        throw new TaskError(
          'TASKS_OPTIONS',
          `--status must be one of ${pipelineStatuses.join(', ')}, not "${flags.status}"`,
        )
      }
      const options: ListOptions = {
        limit,
        ...(status === undefined ? {} : { status }),
        ...(flags.name === undefined ? {} : { name: flags.name }),
        ...(flags.since === undefined ? {} : { since: parseSince('--since', flags.since) }),
        ...(flags.after === undefined ? {} : { after: flags.after }),
        ...(flags.children === true ? { children: true } : {}),
      }
      const project = await Project.load(flags)
      const { list, owners } = await project.withClient('existing', async (client) => {
        const found = await client.list(options)
        // Only a person wonders where a pipeline is that nobody has taken.
        return { list: found, owners: found.pipelines.length > 0 || terminal.json ? undefined : await client.owners() }
      })
      const { pipelines } = list
      const rows = pipelines.map((found) => {
        const { id, name = '', status: its, createdAt, finishedAt } = found
        return [
          id,
          name,
          its,
          // Tasks of what was returned are counted with its root.
          'rootId' in found ? '' : `${found.done}/${found.tasks}`,
          createdAt === undefined ? '' : new Date(createdAt).toISOString(),
          createdAt === undefined || finishedAt === undefined ? '' : showDuration(finishedAt - createdAt),
        ]
      })
      terminal.answer(
        { ...list, pipelines: pipelines.map(statusDocument) },
        rows.length === 0 ? '' : table(['ID', 'NAME', 'STATUS', 'TASKS', 'CREATED', 'TOOK'], rows),
      )
      if (terminal.json) return
      if (owners !== undefined) {
        const { partitions, answering } = owners
        const unseen = answering === partitions ? '' : ` that an owner has taken; ${answering} of ${partitions} answer`
        terminal.note(`no pipelines${unseen}`)
      }
      if (list.incomplete) terminal.note('incomplete: not every owner answered; is a worker up?', 'yellow')
      if (list.after !== undefined) terminal.note(`there may be more: --after ${list.after}`, 'dim')
    })
}

/** A time, or how long ago it was. */
export function parseSince(flag: string, text: string): Date {
  const at = /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text) ? Date.now() - parseDuration(flag, text) : Date.parse(text)
  if (Number.isFinite(at)) return new Date(at)
  throw new TaskError('TASKS_OPTIONS', `${flag} must be like 30m, 2h, 1d or 2026-11-21T10:00:00Z, not "${text}"`)
}

export function parseLimit(text: string): number {
  const limit = Number(text)
  if (Number.isSafeInteger(limit) && limit >= 1) return limit
  throw new TaskError('TASKS_OPTIONS', `--limit must be an integer of at least 1, not "${text}"`)
}
