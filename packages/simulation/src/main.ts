// `npm run simulate`: compiles the simulator with core's sources, and runs seeds.
//
//   npm run simulate -- --seeds 10000 --start 1      many
//   npm run simulate -- --seed 6538                  one, with its trace
//   npm run simulate -- --once-failed                what has failed before
//   npm run simulate -- --mutant 'no fence'          with a mistake made on purpose, until it is found
//   npm run simulate -- --mutants                    each of them; prints the table
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { bundle } from './bundle'
import { hunt, tableOf } from './hunt'
import { mutants } from './mutants'

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string' },
    start: { type: 'string' },
    seed: { type: 'string' },
    'once-failed': { type: 'boolean', default: false },
    mutant: { type: 'string' },
    mutants: { type: 'boolean', default: false },
  },
})

if (given.mutants) {
  const found = []
  for (const mutant of mutants) {
    found.push(await hunt(mutant))
    console.log(tableOf(found.slice(-1)))
  }
  process.exitCode = found.every(({ seed }) => seed !== undefined) ? 0 : 1
} else {
  const mutant = mutants.find(({ name }) => name === given.mutant)
  if (given.mutant !== undefined && mutant === undefined) {
    console.error(`there is no mutant "${given.mutant}"; known:\n${mutants.map(({ name }) => `  ${name}`).join('\n')}`)
    process.exit(2)
  }
  process.exitCode = await run(await bundle(mutant))
}

async function run(file: string): Promise<number> {
  const args = (['seeds', 'start', 'seed'] as const).flatMap((name) =>
    given[name] === undefined ? [] : [`--${name}`, given[name]],
  )
  if (given['once-failed']) args.push('--once-failed')
  const child = spawn(process.execPath, ['--enable-source-maps', file, ...args], { stdio: 'inherit' })
  const code = await new Promise<number>((resolve) => child.on('exit', (exitCode) => resolve(exitCode ?? 1)))
  rmSync(dirname(file), { recursive: true, force: true })
  return code
}
