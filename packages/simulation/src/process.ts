// A process of the simulated cluster: what has a clock of its own, can be stopped and go on, and can die with all that it has in memory.
//
// P1. A process touches the world only through `pass` and `enter`. One that is dead does neither ever again: what it awaits never comes.
// P2. One that is paused does nothing until it goes on; then everything that was due meanwhile happens, in order. It does not know that it was paused.
import type { Clock } from '@tasks/core/adapter'
import { randomOf, type Random } from './random'
import type { Scheduler } from './scheduler'

/** Ms since the epoch when a simulation starts. */
export const START = 1_700_000_000_000

export interface ProcessOptions {
  readonly seed: number
  /** How long a call to the transport takes each way, in ms. */
  readonly latency: (random: Random) => number
  /** Called at each await of the transport, before anything else; it may kill or pause. */
  readonly onPass: (process: Process) => void
}

export class Process {
  readonly name: string
  readonly clock: Clock
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #options: ProcessOptions
  #state: 'runs' | 'paused' | 'dead' = 'runs'
  #waiting: (() => void)[] = []
  #skewMs = 0
  #ids = 0
  #nextId: string | undefined
  readonly #onDeath: (() => void)[] = []

  constructor(scheduler: Scheduler, name: string, options: ProcessOptions) {
    this.#scheduler = scheduler
    this.name = name
    this.#options = options
    this.#random = randomOf(options.seed, name)
    const prefix = `${name.replaceAll(/[^a-z0-9]/g, 'x')}s${options.seed.toString(36)}`
    this.clock = {
      now: () => Math.floor(START + scheduler.now + this.#skewMs),
      monotonic: () => scheduler.now,
      after: (ms, fn) => {
        let cancelled = false
        const cancel = scheduler.after(ms, () => this.enter(() => cancelled || fn()))
        return () => {
          cancelled = true
          cancel()
        }
      },
      soon: (fn) => void scheduler.after(0, () => this.enter(fn)),
      random: () => this.#random.next(),
      uid: () => {
        const id = this.#nextId ?? prefix + String(this.#ids++).padStart(20 - prefix.length, 'x')
        this.#nextId = undefined
        return id
      },
    }
  }

  get runs(): boolean {
    return this.#state === 'runs'
  }

  get dead(): boolean {
    return this.#state === 'dead'
  }

  /** Something comes in. */
  enter(fn: () => void): void {
    if (this.#state === 'paused') this.#waiting.push(fn)
    else if (this.#state === 'runs') fn()
  }

  /** What it draws next, at once, is this id: so that others know of it. */
  draws(id: string): void {
    this.#nextId = id
  }

  /** An await of the transport: resolves when the call, or its answer, has come through. */
  pass(): Promise<void> {
    return new Promise((resolve) => {
      if (this.dead) return
      this.#options.onPass(this)
      if (this.dead) return
      this.#scheduler.after(this.#options.latency(this.#random), () => this.enter(resolve))
    })
  }

  onDeath(fn: () => void): void {
    this.#onDeath.push(fn)
  }

  die(): void {
    if (this.#state === 'dead') return
    this.#state = 'dead'
    this.#waiting = []
    for (const fn of this.#onDeath) fn()
  }

  pause(): void {
    if (this.#state === 'runs') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'runs'
    const waiting = this.#waiting
    this.#waiting = []
    // One after the other, each with what follows from it: as an event loop does.
    for (const fn of waiting) this.#scheduler.after(0, () => this.enter(fn))
  }

  /** Its wall clock goes wrong by so much, from now on. */
  jump(ms: number): void {
    this.#skewMs += ms
  }
}
