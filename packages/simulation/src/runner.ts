// Runs seeds. This is what is bundled, with core's sources, mutated or not: see bundle.ts.
//
//   runner --seeds N --start S [--quick] | --seed N | --once-failed
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { check } from './check'
import { simulate } from './cluster'
import { onceFailed } from './once-failed'
import { scenarioOf } from './scenario'
import { play, simplify, type Failure } from './simplify'

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    start: { type: 'string', default: '1' },
    /** One only, with its trace. */
    seed: { type: 'string' },
    /** Those cases that have failed before. */
    'once-failed': { type: 'boolean', default: false },
    /** A line for each seed as it begins, and one for what fails: mutants are to fail. */
    quick: { type: 'boolean', default: false },
  },
})

// A promise that nobody waits for is a mistake of the engine, in whatever seed it is.
let seedAtHand = 0
process.on('unhandledRejection', (error) => {
  console.log(`seed ${seedAtHand} failed: an unhandled rejection: ${String(error)}`)
  process.exit(1)
})

if (given['once-failed']) await runOnceFailed()
else if (given.seed === undefined) await runMany(Number(given.start), Number(given.seeds))
else await replay(Number(given.seed))

async function runMany(start: number, count: number): Promise<void> {
  const since = performance.now()
  let told = since
  let steps = 0
  for (let seed = start; seed < start + count; seed++) {
    seedAtHand = seed
    if (given.quick) console.log(`seed ${seed}`)
    const recording = await simulate(scenarioOf(seed))
    steps += recording.steps
    const broken = check(recording)
    if (broken.length > 0) {
      if (given.quick) console.log(`seed ${seed} failed: ${broken[0]}`)
      else await tell(seed, { recording, broken, faults: recording.faults.struck })
      process.exitCode = 1
      return
    }
    const now = performance.now()
    if (now - told < 10_000 || given.quick) continue
    told = now
    console.log(`${seed - start + 1} seeds, ${perSecond(seed - start + 1, now - since)}`)
  }
  console.log(
    `${count} seeds from ${start} passed: ${perSecond(count, performance.now() - since)}, ${Math.round(steps / count)} steps a seed`,
  )
}

async function runOnceFailed(): Promise<void> {
  for (const { found, seed, scenario, faults } of onceFailed) {
    seedAtHand = seed
    const failure = await play(scenario, new Set(faults))
    console.log(`${failure === undefined ? 'passes' : `FAILS: ${failure.broken[0]}`}  ${found}`)
    if (failure !== undefined) process.exitCode = 1
  }
}

function perSecond(count: number, ms: number): string {
  return `${((count * 1_000) / ms).toFixed(1)} seeds a second`
}

async function tell(seed: number, failure: Failure): Promise<void> {
  console.log(
    `seed ${seed} failed:\n${failure.broken.map((line) => `  ${line}`).join('\n')}\nlooking for a simpler case …`,
  )
  const simplest = await simplify(failure)
  const { recording, broken, faults } = simplest
  console.log(`the simplest case found:\n${JSON.stringify({ seed, scenario: recording.scenario, faults })}`)
  console.log(recording.history.toString())
  console.log(broken.map((line) => `  ${line}`).join('\n'))
  console.log(`replay it with: npm run simulate -- --seed ${seed}`)
}

async function replay(seed: number): Promise<void> {
  seedAtHand = seed
  const recording = await simulate(scenarioOf(seed))
  const trace = recording.history.toString()
  const broken = check(recording)
  console.log(`${JSON.stringify(recording.scenario)}\n${trace}`)
  console.log(`sha256 of the trace: ${createHash('sha256').update(trace).digest('hex')}`)
  const failure = await play(scenarioOf(seed))
  if (broken.length === 0 || failure === undefined) return console.log(`seed ${seed} passes`)
  await tell(seed, failure)
  process.exitCode = 1
}
