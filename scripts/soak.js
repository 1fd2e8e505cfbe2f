import { setup } from './setup.js'

await setup()
const { runSource } = await import('./source.js')
process.exitCode = (await runSource('packages/soak/src/main.ts', process.argv.slice(2))).code
