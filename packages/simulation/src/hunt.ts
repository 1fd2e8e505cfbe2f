// Looks for a mutant: how many seeds it takes until something is found to be broken. One that is not found within its number says that the simulator
// does not see what it should. A simulator that breaks, or a slow machine, finds nothing.
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { bundle } from './bundle'
import type { Mutant } from './mutants'

export interface Found {
  readonly mutant: Mutant
  /** The first seed that fails; undefined if none does. */
  readonly seed: number | undefined
  /** What it says is broken. */
  readonly says: string
}

/** A seed takes a fraction of a second. One that takes so long does not end, if it does without the mistake. */
const PATIENCE_MS = 120_000

export async function hunt(mutant: Mutant, signal?: AbortSignal): Promise<Found> {
  const { seed, verdict } = await run(mutant, 1, mutant.within, signal)
  if (verdict === 'passed') return { mutant, seed: undefined, says: 'nothing' }
  if (verdict !== 'hangs') return { mutant, seed, says: verdict }
  const sound = await run(undefined, seed, 1, signal)
  if (sound.verdict === 'passed') return { mutant, seed, says: 'I12: it does not end' }
  throw new Error(`seed ${seed} takes more than ${PATIENCE_MS} ms, and without the mistake it ${sound.verdict}, too`)
}

interface Run {
  /** The last that was begun. */
  readonly seed: number
  /** `passed`, `hangs`, or what is broken. */
  readonly verdict: string
}

/** Runs seeds until one fails. */
async function run(mutant: Mutant | undefined, from: number, count: number, signal?: AbortSignal): Promise<Run> {
  const file = await bundle(mutant)
  const child = spawn(process.execPath, [file, '--quick', '--start', String(from), '--seeds', String(count)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    ...(signal === undefined ? {} : { signal }),
  })
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  let seed: number | undefined
  let hangs = false
  let failure: string | undefined
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const watchdog = setTimeout(() => {
    hangs = true
    child.kill('SIGKILL')
  }, PATIENCE_MS)
  createInterface(child.stdout).on('line', (line) => {
    const [, number, says] = /^seed (\d+)(?: failed: (.*))?$/.exec(line) ?? []
    if (number === undefined) return
    seed = Number(number)
    failure = says
    watchdog.refresh()
  })
  try {
    const code = await ended
    if (seed !== undefined && failure !== undefined) return { seed, verdict: failure }
    if (seed !== undefined && hangs) return { seed, verdict: 'hangs' }
    if (seed !== undefined && code === 0) return { seed, verdict: 'passed' }
    throw new Error(`the simulator broke (${code}), at seed ${seed ?? 'none'}: ${errors.slice(0, 1_000)}`)
  } finally {
    clearTimeout(watchdog)
    rmSync(dirname(file), { recursive: true, force: true })
  }
}

export function tableOf(found: readonly Found[]): string {
  return found
    .map(({ mutant, seed, says }) => {
      const at = seed === undefined ? `NOT within ${mutant.within}` : `seed ${seed} of ${mutant.within}`
      return `${mutant.name.padEnd(62)} ${at.padEnd(18)} ${says.slice(0, 110)}`
    })
    .join('\n')
}
