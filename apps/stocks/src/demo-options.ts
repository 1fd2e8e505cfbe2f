import { parseArgs } from 'node:util'

export const usage = `Usage: npm run demo -- [options]

Runs the workflow of src/tasks.ts on real prices: a worker process, a client, and the durable pipeline between them.

  --json             one JSON document on stdout, and nothing else
  --crash            kill the worker in the middle and start another: the numbers are the same
  --transport <url>  default: TASKS_URL, else a new SQLite file in the folder for temporary files
  -h, --help         this`

export interface DemoOptions {
  readonly json: boolean
  readonly crash: boolean
  readonly transport: string | undefined
  readonly help: boolean
}

/** @throws Error naming what is wrong */
export function parseDemoOptions(words: readonly string[], env: NodeJS.ProcessEnv = process.env): DemoOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      json: { type: 'boolean', default: false },
      crash: { type: 'boolean', default: false },
      transport: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { json, crash, transport, help } = values
  if (transport === '') throw new Error('--transport needs a URL, like sqlite:./tasks.db')
  // An empty variable is how a shell and a compose file unset one.
  return { json, crash, transport: transport ?? (env['TASKS_URL'] || undefined), help }
}
