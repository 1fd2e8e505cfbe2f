#!/usr/bin/env node
import { run } from './program'

// `tasks list | head` closes the pipe: what is left to say has no reader.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const code = await run(process.argv.slice(2))
// A module of tasks may hold connections open, and a command is over when it has answered.
process.stdout.write('', () => process.exit(code))
