// Steering a pipeline by its id: each command is one of the client's.
import type { Client } from '@tasks/core'
import type { Command } from 'commander'
import { parseDuration } from '../duration'
import { Project, type CommonFlags } from '../project'
import type { Terminal } from '../terminal'

interface ControlFlags extends CommonFlags {
  readonly grace?: string
}

type Give = (client: Client, id: string, flags: ControlFlags) => Promise<unknown>

const COMMANDS: readonly (readonly [name: string, description: string, give: Give])[] = [
  ['pause', 'start nothing more of a pipeline until it is resumed', (client, id) => client.pause(id)],
  ['resume', 'go on with a pipeline that is paused', (client, id) => client.resume(id)],
  ['cancel', 'end a pipeline: its finally runs, nothing else', cancel],
  ['retry', 'run a failed pipeline again from the tasks that failed', (client, id) => client.retry(id)],
  ['delete', 'forget a pipeline that has ended, with its values', (client, id) => client.delete(id)],
]

export function addControl(program: Command, terminal: Terminal): void {
  for (const [name, description, give] of COMMANDS) {
    const command = program.command(name).description(description).argument('<id>', 'the id that `submit` printed')
    if (name === 'cancel')
      command.option('--grace <duration>', 'wait so long for tasks that run, 500ms, 30s, 5m, … (default: 30s)')
    command.action(async (id: string, _: unknown, given: Command) => {
      const flags = given.optsWithGlobals<ControlFlags>()
      if (flags.grace !== undefined) parseDuration('--grace', flags.grace)
      const project = await Project.load(flags)
      await project.withClient('existing', async (client) => {
        await give(client, id, flags)
        if (name === 'delete') return terminal.answer({ id, deleted: true }, `${id} is deleted`)
        const status = (await client.status(id))?.status
        return terminal.answer({ id, status }, `${id} is ${status ?? 'gone'}`)
      })
    })
  }
}

function cancel(client: Client, id: string, { grace }: ControlFlags): Promise<void> {
  return client.cancel(id, grace === undefined ? {} : { graceMs: parseDuration('--grace', grace) })
}
