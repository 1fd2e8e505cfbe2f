// Leases on tasks: handed out in batches (a suspect alone), extended, settled.
import type { Clock } from '../clock'
import { sleep } from '../clock'
import { TaskError } from '../errors'
import type { Lease, ReceiveOptions, Send, Settlement, TaskConsumer } from '../transport'
import type { MemoryFaults } from './faults'
import type { Lifetime } from './lifetime'
import type { Namespace } from './namespace'
import type { QueueWaiter, TaskQueue } from './queue'
import { Hold } from './queue'

export interface ConsumerOptions {
  readonly namespace: Namespace
  readonly lifetime: Lifetime
  readonly faults: MemoryFaults
  readonly queues: readonly string[]
  readonly leaseMs: number
  /** Throws if one of the sends may not be made. */
  readonly check: (sends: readonly Send[]) => void
}

export class MemoryConsumer implements TaskConsumer {
  readonly #namespace: Namespace
  readonly #clock: Clock
  readonly #lifetime: Lifetime
  readonly #faults: MemoryFaults
  readonly #leaseMs: number
  readonly #check: (sends: readonly Send[]) => void
  readonly #names: readonly string[]
  readonly #queues: readonly TaskQueue[]
  readonly #waiting = new Set<Wait>()
  readonly #forget: () => void
  #first = 0
  #closed = false

  constructor(options: ConsumerOptions) {
    this.#namespace = options.namespace
    this.#clock = options.namespace.clock
    this.#lifetime = options.lifetime
    this.#faults = options.faults
    this.#leaseMs = options.leaseMs
    this.#check = options.check
    this.#names = [...new Set(options.queues)]
    this.#queues = this.#names.map((name) => options.namespace.queue(name))
    this.#forget = options.lifetime.onEnd(() => {
      for (const wait of this.#waiting) wait.fail(options.lifetime.error())
    })
  }

  async receive(options: ReceiveOptions): Promise<readonly Lease[]> {
    this.#lifetime.check()
    if (this.#closed) throw new TaskError('TASKS_CLOSED', 'the consumer is closed')
    const fault = this.#faults.receive?.({ queues: this.#names })
    if (fault === 'lost') throw unavailable('receive')
    if (fault === 'unanswered') {
      this.#take(options)
      throw unavailable('receive')
    }
    if (fault !== undefined) {
      await sleep(this.#clock, fault.lateMs, options.signal)
      this.#lifetime.check()
    }
    const { signal } = options
    if (signal?.aborted || this.#closed || options.max <= 0) return []
    const batch = this.#take(options)
    if (batch.length > 0 || options.waitMs <= 0) return batch
    return this.#wait(options)
  }

  async settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void> {
    this.#lifetime.check()
    this.#check(sends)
    const fault = this.#faults.settle?.({ settlements: settlements.length, sends: sends.length })
    if (fault === 'lost') throw unavailable('settle')
    if (this.#namespace.send(sends, this.#faults).some((outcome) => !outcome.ok)) throw unavailable('settle')
    if (fault === 'halved') throw unavailable('settle')
    const touched = new Set<TaskQueue>()
    for (const settlement of settlements) this.#settle(settlement, touched)
    for (const queue of touched) queue.notify()
    if (fault === 'unanswered') throw unavailable('settle')
  }

  async extend(leases: readonly Lease[]): Promise<void> {
    this.#lifetime.check()
    for (const { token } of leases) if (token instanceof Hold) token.queue.extend(token)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#forget()
    for (const wait of this.#waiting) wait.end([])
  }

  #settle(settlement: Settlement, touched: Set<TaskQueue>): void {
    const hold = settlement.lease.token
    if (!(hold instanceof Hold)) return
    if (settlement.op === 'return') {
      hold.queue.giveBack(hold, settlement.delayMs)
      if (hold.queue.waiters.size > 0) touched.add(hold.queue)
      return
    }
    const message = hold.queue.remove(hold)
    if (message !== undefined && settlement.op === 'dead') this.#namespace.letters.add(settlement.letter, message.body)
  }

  /** A suspect comes alone, before all others: see `receive` of the SPI. */
  #take({ max, suspects }: ReceiveOptions): Lease[] {
    const queues = this.#queues
    for (const queue of queues) queue.refresh()
    if (suspects) {
      for (const queue of queues) {
        const suspect = queue.takeSuspect(this.#leaseMs)
        if (suspect !== undefined) return [suspect]
      }
    }
    const batch: Lease[] = []
    // Another queue is the first each time, so that a full one cannot keep the others waiting.
    const first = this.#first++
    if (queues.every((queue) => queue.ready === 0)) return batch
    for (let level = this.#namespace.priorities - 1; level >= 0 && batch.length < max; level--) {
      for (let i = 0; i < queues.length; i++) {
        const queue = queues[(first + i) % queues.length]!
        if (queue.ready > 0) queue.take(level, max - batch.length, this.#leaseMs, batch)
      }
    }
    return batch
  }

  #wait(options: ReceiveOptions): Promise<readonly Lease[]> {
    return new Promise((resolve, reject) => {
      const { signal } = options
      const leave = (): void => {
        cancel()
        signal?.removeEventListener('abort', aborted)
        this.#waiting.delete(wait)
        for (const queue of this.#queues) queue.waiters.delete(wait)
      }
      const wait: Wait = {
        offer: () => {
          const batch = this.#take(options)
          if (batch.length > 0) wait.end(batch)
        },
        end: (batch) => {
          leave()
          resolve(batch)
        },
        fail: (error) => {
          leave()
          reject(error)
        },
      }
      const aborted = (): void => wait.end([])
      const cancel = this.#clock.after(options.waitMs, aborted)
      signal?.addEventListener('abort', aborted, { once: true })
      this.#waiting.add(wait)
      for (const queue of this.#queues) {
        queue.waiters.add(wait)
        queue.arm()
      }
    })
  }
}

interface Wait extends QueueWaiter {
  end(batch: readonly Lease[]): void
  fail(error: Error): void
}

function unavailable(call: string): TaskError {
  return new TaskError('TASKS_UNAVAILABLE', `${call}: a fault that was asked for`)
}
