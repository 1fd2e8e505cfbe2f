// Where a contest takes place: one server, the contenders, their turns, and what was measured.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisMeter } from '../redis-meter'
import type { Closable, Contender, ContenderName, ContenderOptions } from './contender'
import { startContenderProcess, type ContenderProcess } from './contender-process'
import { makeContender } from './contenders'

export interface ArenaOptions {
  readonly url: string
  readonly lane: ContenderOptions['lane']
  readonly contenders: readonly ContenderName[]
  /** Who begins changes from round to round. */
  readonly round: number
  readonly quick: boolean
}

/** By row and contender: one value for each turn. */
export type Samples = Record<string, Partial<Record<ContenderName, number[]>>>

export interface Spent {
  readonly seconds: number
  /** CPU of this process and of those that work for it, in all threads. */
  readonly nodeSeconds: number
  readonly redisSeconds: number
}

export interface Turn {
  readonly contender: Contender
  /** Starts workers in processes of their own. */
  startProcesses(count: number): Promise<readonly ContenderProcess[]>
  note(row: string, value: number): void
}

const POLL_MS = 20

export class Arena {
  readonly samples: Samples = {}
  readonly meter: RedisMeter
  readonly #options: ArenaOptions
  readonly #namespace = `peers-${process.pid}-${Date.now().toString(36)}`
  readonly #entered: { readonly name: ContenderName; readonly contender: Contender }[] = []

  private constructor(options: ArenaOptions) {
    this.#options = options
    this.meter = new RedisMeter(options.url)
  }

  static async make(options: ArenaOptions): Promise<Arena> {
    const arena = new Arena(options)
    await arena.meter.clear()
    for (const name of options.contenders) {
      arena.#entered.push({ name, contender: await makeContender(name, arena.#contenderOptions) })
    }
    return arena
  }

  get #contenderOptions(): ContenderOptions {
    const { url, lane } = this.#options
    return { url, lane, namespace: this.#namespace }
  }

  size(full: number, quick: number): number {
    return this.#options.quick ? quick : full
  }

  /**
   * Every contender does the work in turns, so that all meet the same machine. The first turns are not counted: they are mostly the compiler's.
   * @param able says who takes part
   */
  async takeTurns(
    { turns, warmUps }: { readonly turns: number; readonly warmUps: number },
    able: (contender: Contender) => boolean,
    work: (turn: Turn) => Promise<void>,
  ): Promise<void> {
    const { quick, round } = this.#options
    const entered = this.#entered.filter(({ contender }) => able(contender))
    for (let turn = quick ? 0 : -warmUps; turn < (quick ? 1 : turns); turn++) {
      for (let i = 0; i < entered.length; i++) {
        const { name, contender } = entered[(i + turn + warmUps + round) % entered.length]!
        await work({
          contender,
          startProcesses: (count) => this.#startProcesses(name, count),
          note: (row, value) => {
            if (turn >= 0) ((this.samples[row] ??= {})[name] ??= []).push(value)
          },
        })
      }
    }
  }

  async forEach(work: (contender: Contender) => Promise<void>): Promise<void> {
    for (const { contender } of this.#entered) await work(contender)
  }

  async #startProcesses(name: ContenderName, count: number): Promise<readonly ContenderProcess[]> {
    const start = (): Promise<ContenderProcess> => startContenderProcess({ ...this.#contenderOptions, name })
    return Promise.all(Array.from({ length: count }, start))
  }

  /** A worker in this process, for the time of the work. Afterwards nothing may be left of it. */
  async withWorker(contender: Contender, work: () => Promise<void>): Promise<void> {
    await this.#with(contender, [await contender.startWorker()], work)
  }

  /** One that takes pipelines, too, before the work begins. */
  async withReadyWorker(contender: Contender, work: () => Promise<void>): Promise<void> {
    await this.withWorker(contender, async () => {
      await contender.ready?.()
      await work()
    })
  }

  /** Workers elsewhere, for the time of the work. What they ran is counted here then. */
  async withProcesses(
    { contender, startProcesses }: Turn,
    count: number,
    work: (processes: readonly ContenderProcess[]) => Promise<void>,
  ): Promise<void> {
    const processes = await startProcesses(count)
    await this.#with(contender, processes, async () => {
      await contender.ready?.()
      await work(processes)
      for (const process of processes) await process.tellTallies(contender.ran)
    })
  }

  async #with(contender: Contender, workers: readonly Closable[], work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } finally {
      await Promise.all(workers.map((worker) => worker.close()))
    }
    assert.equal(await contender.left(), 0, 'tasks were left, or failed')
  }

  async costOf(work: () => Promise<unknown>, processes: readonly ContenderProcess[] = []): Promise<Spent> {
    const stop = this.startCounting(processes)
    await work()
    return stop()
  }

  startCounting(processes: readonly ContenderProcess[] = []): () => Promise<Spent> {
    const cpu = (): Promise<number[]> =>
      Promise.all([this.meter.cpuSeconds(), ...processes.map((each) => each.cpuSeconds())])
    const before = cpu()
    const node = process.cpuUsage()
    const since = performance.now()
    return async () => {
      const seconds = (performance.now() - since) / 1000
      const { user, system } = process.cpuUsage(node)
      const [redisBefore = 0, ...othersBefore] = await before
      const [redisAfter = 0, ...othersAfter] = await cpu()
      const others = othersAfter.reduce((sum, after, i) => sum + after - othersBefore[i]!, 0)
      return { seconds, nodeSeconds: (user + system) / 1e6 + others, redisSeconds: redisAfter - redisBefore }
    }
  }

  async close(): Promise<void> {
    for (const { contender } of this.#entered) await contender.close()
    await this.meter.close()
  }
}

/** Resolves when the processes have run so many no-op tasks together. */
export async function untilRun(processes: readonly ContenderProcess[], count: number): Promise<void> {
  for (;;) {
    const totals = await Promise.all(processes.map((each) => each.total()))
    if (totals.reduce((a, b) => a + b) >= count) return
    await sleep(POLL_MS)
  }
}
