// Runs a program of the samples in apps/ from its sources: `npm run approval`.
import { setup } from './setup.js'

await setup()
const { runSource } = await import('./source.js')
const [program, ...args] = process.argv.slice(2)
process.exitCode = (await runSource(`apps/${program}`, args)).code
