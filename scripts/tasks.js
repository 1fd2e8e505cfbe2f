// The `tasks` command, from its sources: `npm run tasks -- doctor`.
import { setup } from './setup.js'

await setup()
const { runSource } = await import('./source.js')
process.exitCode = (await runSource('packages/cli/src/main.ts', process.argv.slice(2))).code
