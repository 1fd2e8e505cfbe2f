import { TaskError, type Client, type DeadLetterView } from '@tasks/core'
import type { Command } from 'commander'
import { exitCodeOf } from '../exit-codes'
import { printable, printableError } from '../printable'
import { Project, type CommonFlags } from '../project'
import { pairs, table } from '../table'
import type { Terminal } from '../terminal'
import { parseLimit } from './list'

const PAGE = 100

interface ListFlags extends CommonFlags {
  readonly limit: string
  readonly after?: string
}

export function addDlq(program: Command, terminal: Terminal): void {
  const dlq = program.command('dlq').description('dead letters: what could not be read, run or finished')

  dlq
    .command('ls')
    .alias('list')
    .description('the dead letters, oldest first')
    .option('-l, --limit <number>', 'at most so many', '100')
    .option('--after <id>', 'only those that came after this one')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ListFlags>()
      const limit = parseLimit(flags.limit)
      const letters = await withLetters(flags, ({ deadLetters }) =>
        deadLetters.list({ limit, ...(flags.after === undefined ? {} : { after: flags.after }) }),
      )
      const rows = letters.map((letter) => [
        letter.id,
        new Date(letter.at).toISOString(),
        letter.reason,
        letter.task ?? '',
        letter.source,
        oneLine(letter.message),
      ])
      terminal.answer(
        { letters: letters.map(summaryOf) },
        rows.length === 0 ? '' : table(['ID', 'AT', 'REASON', 'TASK', 'SOURCE', 'MESSAGE'], rows),
      )
      if (rows.length === 0 && !terminal.json) terminal.note('no dead letters')
    })

  dlq
    .command('show')
    .description('one dead letter with its reason, error and bytes')
    .argument('<id>')
    .action(async (id: string, _: unknown, command: Command) => {
      const letter = await withLetters(command.optsWithGlobals<CommonFlags>(), ({ deadLetters }) => deadLetters.get(id))
      const { pipelineId, args, error, body } = letter
      const base64 = Buffer.from(body).toString('base64')
      terminal.answer(
        {
          ...summaryOf(letter),
          ...(args === undefined ? {} : { arguments: printable(args) }),
          bytes: body.length,
          text: readable(body),
          base64,
        },
        (style) =>
          [
            pairs([
              ['id', letter.id],
              ['at', new Date(letter.at).toISOString()],
              ['reason', style('red', letter.reason)],
              ['message', oneLine(letter.message)],
              ['source', letter.source],
              ['task', letter.task ?? '-'],
              ['pipeline', pipelineId ?? '-'],
              ['arguments', args === undefined ? '-' : JSON.stringify(printable(args))],
              ['bytes', String(body.length)],
            ]),
            ...(error === undefined ? [] : ['', error.stack ?? error.message]),
            '',
            readable(body) ?? base64,
          ].join('\n'),
      )
    })

  dlq
    .command('redrive')
    .description('send dead letters again, to where they were')
    .argument('[ids...]')
    .option('--all', 'all there are')
    .action((ids: readonly string[], _: unknown, command: Command) =>
      move(terminal, 'redrive', ids, command.optsWithGlobals()),
    )

  dlq
    .command('drop')
    .description('delete dead letters for good')
    .argument('[ids...]')
    .option('--all', 'all there are')
    .action((ids: readonly string[], _: unknown, command: Command) =>
      move(terminal, 'drop', ids, command.optsWithGlobals()),
    )
}

/** Each by itself: one that is refused does not stop the others, and decides the exit code. */
async function move(
  terminal: Terminal,
  what: 'redrive' | 'drop',
  ids: readonly string[],
  flags: CommonFlags & { readonly all?: boolean },
): Promise<void> {
  if (ids.length > 0 === (flags.all === true))
    throw new TaskError('TASKS_ARGUMENTS', `dlq ${what} takes either ids or --all`)
  const done: string[] = []
  const failed: { readonly id: string; readonly error: unknown }[] = []
  await withLetters(flags, async (client) => {
    for (const id of flags.all === true ? await allIds(client) : ids) {
      try {
        await client.deadLetters[what](id)
        done.push(id)
      } catch (error) {
        // Of all there were, one may have gone meanwhile, or belong to a pipeline. Of those that were named, the first
        // failure tells.
        failed.push({ id, error })
      }
    }
  })
  const document = {
    [what === 'drop' ? 'dropped' : 'redriven']: done,
    failed: failed.map(({ id, error }) => ({ id, error: printableError(error) })),
  }
  terminal.answer(document, done.join('\n'))
  if (failed.length === 0) return
  terminal.exitCode = exitCodeOf(failed[0]!.error)
  if (!terminal.json) for (const { error } of failed) terminal.note(`tasks: ${printableError(error).message}`, 'red')
}

async function allIds({ deadLetters }: Client): Promise<readonly string[]> {
  const ids: string[] = []
  for (;;) {
    const after = ids.at(-1)
    const page = await deadLetters.list({ limit: PAGE, ...(after === undefined ? {} : { after }) })
    ids.push(...page.map(({ id }) => id))
    if (page.length < PAGE) return ids
  }
}

async function withLetters<Result>(flags: CommonFlags, use: (client: Client) => Promise<Result>): Promise<Result> {
  return (await Project.load(flags)).withClient('existing', use)
}

function summaryOf({
  id,
  at,
  reason,
  message,
  source,
  task,
  pipelineId,
  error,
}: DeadLetterView): Readonly<Record<string, unknown>> {
  return {
    id,
    at,
    reason,
    message,
    source,
    ...(task === undefined ? {} : { task }),
    ...(pipelineId === undefined ? {} : { pipelineId }),
    ...(error === undefined ? {} : { error: printableError(error) }),
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ')
}

/** The bytes as text, if they are text that a terminal can bear. */
function readable(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return /[^\P{Cc}\n\t]/u.test(text) ? undefined : text
  } catch {
    return undefined
  }
}
