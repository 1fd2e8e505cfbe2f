// Looks for a mutant: how many seeds it takes until something is found to be broken. One that is not found within its number says that the simulator
// does not see what it should.
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { bundle } from './bundle'
import type { Mutant } from './mutants'

export interface Found {
  readonly mutant: Mutant
  /** The first seed that fails; undefined if none does. */
  readonly seed: number | undefined
  /** What it says is broken. */
  readonly says: string
}

/** A mutant may be so broken that a simulation does not end: that is a find, too. The runner tells of its progress every ten seconds. */
const PATIENCE_MS = 240_000

export async function hunt(mutant: Mutant, from = 1): Promise<Found> {
  const file = await bundle(mutant)
  const child = spawn(process.execPath, [file, '--quick', '--start', String(from), '--seeds', String(mutant.within)])
  let text = ''
  let hangs = false
  const watchdog = setTimeout(() => {
    hangs = true
    child.kill('SIGKILL')
  }, PATIENCE_MS)
  const hear = (chunk: Buffer): void => {
    text += chunk.toString()
    watchdog.refresh()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve))
  clearTimeout(watchdog)
  rmSync(dirname(file), { recursive: true, force: true })
  if (code === 0) return { mutant, seed: undefined, says: 'nothing' }
  const [, seed, says] = /^seed (\d+) failed: (.*)$/m.exec(text) ?? []
  if (seed !== undefined) return { mutant, seed: Number(seed), says: says ?? '' }
  return {
    mutant,
    seed: from,
    says: hangs ? 'a simulation does not end' : `the simulation breaks: ${text.slice(0, 200)}`,
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
