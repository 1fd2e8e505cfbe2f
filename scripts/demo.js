import { setup } from './setup.js'

await setup()
const { runSource } = await import('./source.js')
process.exitCode = (await runSource('apps/stocks/src/demo.ts', process.argv.slice(2))).code
