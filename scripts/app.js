// Runs one of the samples in apps/ from its sources: `npm run approval`.
import { setup } from './setup.js'

await setup()
const { runSource } = await import('./source.js')
const [name, ...args] = process.argv.slice(2)
process.exitCode = (await runSource(`apps/${name}/src/main.ts`, args)).code
