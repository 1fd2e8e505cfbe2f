// Virtual time. One thing happens at a time; when all that it has set off has come to rest, time moves on to the next. So a simulated hour takes as
// long as its work, and the same seed does the same things in the same order.
interface Event {
  readonly at: number
  readonly order: number
  fn: (() => void) | undefined
}

/** Times are multiples of a power of two, so that sums and differences of them are exact. */
const TICKS = 64

/** `endless`: so many steps without what was waited for. */
export type Ending = 'reached' | 'late' | 'endless'

export class Scheduler {
  /** Ms since the start. */
  now = 0
  steps = 0
  readonly #heap: Event[] = []
  #order = 0

  /** Calls `fn` after `ms`; returns how to cancel. What is due at one time happens in the order in which it was asked for. */
  after(ms: number, fn: () => void): () => void {
    const at = Math.ceil((this.now + Math.max(0, ms)) * TICKS) / TICKS
    const event: Event = { at, order: this.#order++, fn }
    this.#push(event)
    return () => (event.fn = undefined)
  }

  /** Until `reached`, or for `ms`, or for so many steps. */
  run(reached: () => boolean, ms: number, steps: number): Promise<Ending> {
    const until = this.now + ms
    const last = this.steps + steps
    return new Promise((resolve) => {
      const step = (): void => {
        if (reached()) return resolve('reached')
        const event = this.#heap[0]
        if (event === undefined || event.at > until) {
          this.now = until
          return resolve('late')
        }
        if (this.steps >= last) return resolve('endless')
        this.#pop()
        this.now = event.at
        if (event.fn !== undefined) {
          this.steps++
          event.fn()
        }
        atRest(step)
      }
      atRest(step)
    })
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Calls `fn` when all microtasks have run, those too that they have led to: ticks come after them, and this one is asked for by one of them. */
function atRest(fn: () => void): void {
  queueMicrotask(() => process.nextTick(fn))
}
