import type { CloudEvent, EventItem, EventSubscribeOptions } from '@tasks/core'
import type { Command } from 'commander'
import { interruptible, type Interruption } from '../interruption'
import { Project, type CommonFlags } from '../project'
import type { Terminal } from '../terminal'
import { parseSince } from './list'

interface EventFlags extends CommonFlags {
  readonly follow?: boolean
  readonly type?: readonly string[]
  readonly pipeline?: string
  readonly key?: string
  readonly from?: string
}

export function addEvents(program: Command, terminal: Terminal): void {
  program
    .command('events')
    .description(
      'what has happened in the namespace, as long as it is kept; with --json one CloudEvent a line, and its position',
    )
    .option('-f, --follow', 'go on with what happens, until Ctrl-C')
    .option('--type <types...>', 'only these, like pipeline.status or "task.*"')
    .option('--pipeline <id>', 'only what is about this pipeline')
    .option('--key <key>', 'only events that were sent with this key')
    .option(
      '--from <place>',
      'beginning (the default), new (the default with --follow), a time (30m, 2h, 2026-11-21T10:00:00Z), or a position',
    )
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<EventFlags>()
      const { follow = false, type, pipeline, key } = flags
      const options: EventSubscribeOptions = {
        follow,
        from: fromOf(flags.from ?? (follow ? 'new' : 'beginning')),
        ...(type === undefined ? {} : { types: type }),
        ...(pipeline === undefined ? {} : { pipelineId: pipeline }),
        ...(key === undefined ? {} : { key }),
      }
      const project = await Project.load(flags)
      await project.withClient('existing', (client) =>
        interruptible(async (signal) => {
          const stream = await client.subscribe({ ...options, signal })
          if (follow) terminal.note('following events; Ctrl-C ends it', 'dim')
          for await (const item of stream) show(terminal, item)
          // It was asked for to go on until then.
          if (signal.aborted && !follow) throw signal.reason as Interruption
        }),
      )
    })
}

/** What no other place is called is a position, which the client checks. */
function fromOf(text: string): string | Date {
  if (text === 'new' || text === 'beginning') return text
  return /^\d/.test(text) ? parseSince('--from', text) : text
}

function show(terminal: Terminal, item: EventItem): void {
  if (item.kind === 'gap') {
    const { kind, partition, position } = item
    terminal.print({ kind, partition, position }, '… events are missing here: their retention has ended')
  } else terminal.print({ ...item.event, position: item.position }, lineOf(item.event))
}

const TYPE_WIDTH = 18

function lineOf({ time, type, subject, data }: CloudEvent): string {
  return `${time}  ${type.replace(/^dev\.tasks\./, '').padEnd(TYPE_WIDTH)}  ${subject}  ${factsOf(data)}`.trimEnd()
}

/** What is plain of an event's data, in one line. */
function factsOf(data: unknown): string {
  if (typeof data !== 'object' || data === null) return ''
  return Object.entries(data)
    .map(([name, value]) => {
      if (name === 'error') return `error=${JSON.stringify((value as { message?: string }).message)}`
      return typeof value === 'object' ? '' : `${name}=${String(value)}`
    })
    .filter((fact) => fact !== '')
    .join(' ')
}
