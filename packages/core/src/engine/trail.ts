// What a chain remembers of entries that are over, for people who look at it: when each ended, and how often it was tried. A short text, because it is
// written with every step; of a long chain the latest part.
import type { ChainRow } from './rows'

/** About a hundred entries. */
const MOST = 600

/** The entry that a chain is at is over, at this age of its pipeline. */
export function passedBy({ trail, at, attempt }: ChainRow, age: number): string {
  return longer(trail, `${at.toString(36)}:${age.toString(36)}${attempt > 1 ? `*${attempt}` : ''}`)
}

/** A chain begins. */
export const beginning = (age: number): string => `-1:${age.toString(36)}`

/** The age at which the chain began, unless that part of it is gone. */
export function beginningOf(trail: string | undefined): number | undefined {
  return trail?.startsWith('-1:') === true ? Number.parseInt(trail.slice(3), 36) : undefined
}

function longer(trail: string | undefined, item: string): string {
  if (trail === undefined) return item
  const whole = `${trail} ${item}`
  return whole.length <= MOST ? whole : whole.slice(whole.indexOf(' ', whole.length - MOST) + 1)
}

export interface Passed {
  /** In ms after the pipeline was created. */
  readonly age: number
  readonly attempt: number
  /** From when it was due, if that is known. */
  readonly tookMs: number | undefined
}

/**
 * By the index of the entry; -1: the chain began.
 * @param begunAt when its first entry was due, if it does not say so itself
 */
export function readTrail(trail: string | undefined, begunAt?: number): ReadonlyMap<number, Passed> {
  const passed = new Map<number, Passed>()
  let before = trail?.startsWith('0:') === true ? begunAt : undefined
  for (const item of trail?.split(' ') ?? []) {
    const [, at = '', text = '', attempt = '1'] = /^([^:]*):([^*]*)(?:\*(\d+))?$/.exec(item) ?? []
    const age = Number.parseInt(text, 36)
    passed.set(Number.parseInt(at, 36), {
      age,
      attempt: Number(attempt),
      tookMs: before === undefined ? undefined : age - before,
    })
    before = age
  }
  return passed
}
