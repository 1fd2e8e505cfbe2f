// Who holds which task of a log: a pure function of its records. Whoever reads the log knows it, and all know the same, since they read the same records in the same order and no
// clock but that of the broker, which is in the records. So there is nothing to ask and nobody to ask it of: no group, no rebalance, no owner of a queue.
//
// F1. A task is held by at most one grant. What a record says of a grant that is not the task's any more has no effect.
// F2. A want gets at most `max` tasks, all by the record at which there are some, higher priorities first; a suspect comes alone, before all others.
// F3. A lease that is over is called so by one record, and the task is handed out by a later one at the earliest: its holder's `keep` may be on its way, and after a stall it is not the first to speak.
// F4. Deliveries are what was handed out and has not come back. A suspect's count once its holder has said something of it, so that it is not condemned for what was given to the dead.
// F5. The log before the floor may be gone: the first record that holds a task which is not done. What it has led to is in a picture of the state, a record that is written before.
import type { Due } from '@tasks/core/adapter'
import { Heap } from '@tasks/core/adapter'
import { PRIORITIES } from './limits'
import type { Run } from './lot'
import { Lot, Lots } from './lot'
import type { FreshPicture, KnownPicture, Members, Phase, Picture, QueueRecord, Waiting, Want } from './queue-record'

/** Tasks of one record that lie together. */
export interface GrantedTasks {
  readonly queue: string
  readonly offset: number
  readonly from: number
  readonly to: number
  /** This time included. */
  readonly deliveries: number
}

export interface Grant {
  /** Of the want. */
  readonly name: string
  readonly grant: string
  readonly tasks: readonly GrantedTasks[]
}

export interface Answers {
  readonly grants: readonly Grant[]
  /** Wants that got nothing and do not wait, or are void. */
  readonly missed: readonly string[]
}

/** Of a run: what was never handed out. */
interface Fresh extends Run {
  from: number
}

/** One that was handed out, and of which something was said alone. */
interface Known {
  readonly queue: Queue
  readonly offset: number
  readonly index: number
  readonly at: number
  readonly priority: number
  /** How often it was handed out and has not come back, as far as that counts. */
  deliveries: number
  /** Whether they have the last time in them. */
  isCounted: boolean
  grant: string
  /** Until when it is held, or from when on it may be handed out. */
  until: number
  /** What its holder still has when that is over; 0: it is. */
  graceMs: number
  phase: Phase
  /** How often it was put among those that may be handed out: it may have been taken out of turn. */
  turns: number
}

/** A place among those that may be handed out. It is void if the task has got another since, or is not to be handed out any more. */
interface Turn {
  readonly task: Known
  readonly turn: number
}

interface DueTask extends Due {
  readonly task: Known
}

/** What is held: a task, or a lot. */
interface DueHeld extends Due {
  readonly held: Known | Lot<Queue>
}

class Queue {
  readonly name: string
  /** By priority. */
  readonly fresh: Fresh[][] = Array.from({ length: PRIORITIES }, () => [])
  readonly returned: Turn[][] = Array.from({ length: PRIORITIES }, () => [])
  readonly suspects: Turn[] = []
  readonly held = new Heap<DueHeld>()
  readonly later = new Heap<DueTask>()

  constructor(name: string) {
    this.name = name
  }
}

/** What a holder has when its lease is over: a sixth of it, at most so long. */
const MOST_GRACE_MS = 1_000

/** Of one record; so a task has a number. */
export const MOST_TASKS_OF_A_RECORD = 4096

export class QueueState {
  readonly #queues = new Map<string, Queue>()
  readonly #known = new Map<number, Known>()
  readonly #lots = new Lots<Queue>()
  /** How many tasks of a record are not done, in the order of the records. */
  readonly #live = new Map<number, number>()
  readonly #wants = new Map<string, Waiting>()
  /** By the broker's clock, of the last record. */
  #time = 0

  fold(offset: number, time: number, { sayings, runs }: QueueRecord): Answers {
    // The leader of a partition may change to a broker whose clock is behind.
    this.#time = Math.max(this.#time, time)
    this.#add(offset, runs)
    const asked: string[] = []
    const late: string[] = []
    for (const saying of sayings) {
      switch (saying.op) {
        case 'want': {
          const { want } = saying
          this.#wants.delete(want.name)
          // One that was only late: whoever said it may be gone, or have given it up.
          if (this.#time - want.saidAt > want.leaseMs) late.push(want.name)
          else {
            this.#wants.set(want.name, { want, until: this.#time + want.waitMs })
            asked.push(want.name)
          }
          break
        }
        case 'unwant':
          for (const name of saying.names) this.#wants.delete(name)
          break
        case 'gone':
          this.#bury(saying.prefix)
          break
        case 'done':
          this.#done(saying.members)
          break
        case 'back':
          this.#each(saying.members, (task) => this.#giveBack(task, saying.delayMs))
          break
        // For those who begin with it.
        case 'picture':
          break
        case 'keep':
          this.#keepAll(saying.members, saying.leaseMs)
          break
      }
    }
    const { grants, missed } = this.#match(offset, asked)
    return { grants, missed: [...late, ...missed] }
  }

  /** Records before it are not read any more; undefined: none so far is. */
  get floor(): number | undefined {
    return this.#live.keys().next().value
  }

  /** All that the records so far amount to. */
  picture(): Picture {
    return {
      time: this.#time,
      wants: [...this.#wants.values()],
      queues: [...this.#queues.values()].sort(byName).flatMap((queue) => {
        const inOrder = [...queue.returned.flat(), ...queue.suspects]
          .filter((turn) => this.#isNext(turn))
          .map(({ task }) => task)
        // Of a lot, each task for itself: whether it is known as one of a lot makes no difference to anything.
        const inLots = [...this.#lots].filter((lot) => lot.queue === queue).flatMap(tasksOf)
        const alone = [...this.#known.values()].filter((task) => task.queue === queue && task.phase !== 'ready')
        const others = [...inLots, ...alone]
        const fresh = queue.fresh.flatMap((some, priority) =>
          some.map(({ offset, from, to, at }): FreshPicture => [priority, offset, from, to, at]),
        )
        if (fresh.length + inOrder.length + others.length === 0) return []
        return {
          name: queue.name,
          fresh,
          known: [...inOrder, ...others.sort((a, b) => numberOf(a) - numberOf(b))].map(
            ({ offset, index, at, priority, deliveries, isCounted, grant, until, graceMs, phase }): KnownPicture => [
              offset,
              index,
              at,
              priority,
              deliveries,
              isCounted,
              grant,
              until,
              graceMs,
              phase,
            ],
          ),
        }
      }),
    }
  }

  /** The state that a picture was taken of. */
  static of({ time, wants, queues }: Picture): QueueState {
    const state = new QueueState()
    state.#time = time
    for (const want of wants) state.#wants.set(want.want.name, want)
    const live = new Map<number, number>()
    const count = (offset: number, tasks: number): unknown => live.set(offset, (live.get(offset) ?? 0) + tasks)
    for (const { name, fresh, known } of queues) {
      const queue = state.#queue(name)
      for (const [priority, offset, from, to, at] of fresh) {
        queue.fresh[priority]!.push({ offset, from, to, at, priority })
        count(offset, to - from)
      }
      for (const [offset, index, at, priority, deliveries, isCounted, grant, until, graceMs, phase] of known) {
        const counts = { deliveries, isCounted, turns: 0 }
        const task: Known = { queue, offset, index, at, priority, grant, until, graceMs, phase, ...counts }
        state.#known.set(numberOf(task), task)
        count(offset, 1)
        if (phase === 'held') queue.held.push(heldOf(task))
        else if (phase === 'later') queue.later.push(dueOf(task))
        else state.#queueUp(task)
      }
    }
    for (const [offset, tasks] of [...live].sort(([a], [b]) => a - b)) state.#live.set(offset, tasks)
    return state
  }

  /** The highest priority at which these queues have something for a want, as far as is known; a suspect comes before all. */
  best(queues: readonly string[], suspects: boolean, now: number): number | undefined {
    let best: number | undefined
    for (const name of queues) {
      const queue = this.#queues.get(name)
      if (queue === undefined) continue
      this.#trim(queue)
      if (suspects && (queue.suspects.length > 0 || isDue(queue.held, now))) return PRIORITIES
      for (let priority = PRIORITIES - 1; priority > (best ?? -1); priority--) {
        if (queue.fresh[priority]!.length > 0 || queue.returned[priority]!.length > 0) best = priority
      }
      if (isDue(queue.later, now)) best ??= 0
    }
    return best
  }

  /** When something of these queues is due that is not there yet. */
  nextDue(queues: readonly string[], suspects: boolean): number {
    let next = Infinity
    for (const name of queues) {
      const queue = this.#queues.get(name)
      if (queue === undefined) continue
      this.#trim(queue)
      next = Math.min(next, queue.later.peek()?.dueAt ?? Infinity)
      if (suspects) next = Math.min(next, queue.held.peek()?.dueAt ?? Infinity)
    }
    return next
  }

  /** When the oldest task was sent that nobody holds. */
  oldest(name: string, now: number): number | undefined {
    const queue = this.#queues.get(name)
    if (queue === undefined) return undefined
    let oldest = Infinity
    for (const fresh of queue.fresh) oldest = Math.min(oldest, fresh[0]?.at ?? Infinity)
    for (const lot of this.#lots) if (lot.queue === queue && lot.until <= now) oldest = Math.min(oldest, lot.at)
    for (const task of this.#known.values())
      if (task.queue === queue && (task.phase !== 'held' || task.until <= now)) oldest = Math.min(oldest, task.at)
    return oldest === Infinity ? undefined : oldest
  }

  /** Until when a task is this grant's; it goes on being so until somebody else gets it. Undefined if it is not. */
  heldUntil(offset: number, index: number, grant: string): number | undefined {
    const held = this.#lots.of(offset, index) ?? this.#known.get(numberOf({ offset, index }))
    return held?.grant === grant ? held.until : undefined
  }

  // ---- What records say

  #add(offset: number, runs: QueueRecord['runs']): void {
    let from = 0
    for (const [queue, level, count] of runs) {
      const to = from + count
      const priority = Math.min(level, PRIORITIES - 1)
      this.#queue(queue).fresh[priority]!.push({ offset, from, to, at: this.#time, priority })
      from = to
    }
    if (from > 0) this.#live.set(offset, from)
  }

  #done(members: readonly Members[]): void {
    for (const { grant, offset, indexes } of members) {
      let done = 0
      for (const index of indexes) {
        const lot = this.#lots.of(offset, index)
        const task = lot ?? this.#known.get(numberOf({ offset, index }))
        // Given back, it is nobody's.
        if (task?.grant !== grant) continue
        if (lot !== undefined) this.#lots.takeOut(lot, index)
        else this.#known.delete(numberOf({ offset, index }))
        done++
      }
      if (done === 0) continue
      const left = this.#live.get(offset)! - done
      if (left === 0) this.#live.delete(offset)
      else this.#live.set(offset, left)
    }
  }

  #keepAll(members: readonly Members[], leaseMs: number): void {
    for (const { grant, offset, indexes } of members) {
      const named = new Map<Lot<Queue>, Set<number>>()
      for (const index of indexes) {
        const lot = this.#lots.of(offset, index)
        if (lot?.grant === grant) named.set(lot, (named.get(lot) ?? new Set()).add(index))
      }
      // The usual: all that is left of it.
      const whole = [...named.keys()].filter((lot) => named.get(lot)!.size === lot.left)
      for (const lot of whole) this.#extend(lot, leaseMs)
      const alone = indexes.filter((index) => !whole.includes(this.#lots.of(offset, index)!))
      this.#each([{ grant, offset, indexes: alone }], (task) => this.#keep(task, leaseMs))
    }
  }

  /** One by one. */
  #each(members: readonly Members[], apply: (task: Known) => void): void {
    for (const { grant, offset, indexes } of members) {
      for (const index of indexes) {
        const task = this.#alone(offset, index, grant)
        if (task !== undefined) apply(task)
      }
    }
  }

  /** A task of a grant, out of its lot if it is in one. Undefined if it is not this grant's any more; given back, it is nobody's. */
  #alone(offset: number, index: number, grant: string): Known | undefined {
    const lot = this.#lots.of(offset, index)
    if (lot === undefined) {
      const task = this.#known.get(numberOf({ offset, index }))
      return task?.grant === grant ? task : undefined
    }
    if (lot.grant !== grant) return undefined
    const task = taskOf(lot, index)
    this.#lots.takeOut(lot, index)
    this.#known.set(numberOf(task), task)
    task.queue.held.push(heldOf(task))
    return task
  }

  #bury(prefix: string): void {
    for (const name of this.#wants.keys()) if (name.startsWith(prefix)) this.#wants.delete(name)
    const alone = [...this.#known.values()].filter(({ phase, grant }) => phase === 'held' && grant.startsWith(prefix))
    const lots = [...this.#lots].filter(({ grant }) => grant.startsWith(prefix))
    const held = [...alone, ...lots.flatMap((lot) => this.#dissolve(lot))]
    // In an order that does not depend on where a reader began.
    for (const task of held.sort((a, b) => numberOf(a) - numberOf(b))) this.#makeReady(task)
  }

  /** Its tasks, each for itself; what holds them is for the caller to say. */
  #dissolve(lot: Lot<Queue>): readonly Known[] {
    const tasks = tasksOf(lot)
    this.#lots.dissolve(lot)
    for (const task of tasks) this.#known.set(numberOf(task), task)
    return tasks
  }

  #giveBack(task: Known, delayMs: number): void {
    task.grant = ''
    if (task.isCounted) task.deliveries--
    task.isCounted = false
    if (delayMs <= 0) return this.#makeReady(task)
    task.phase = 'later'
    task.until = this.#time + delayMs
    task.queue.later.push(dueOf(task))
  }

  #makeReady(task: Known): void {
    task.phase = 'ready'
    this.#queueUp(task)
  }

  #queueUp(task: Known): void {
    const turn = { task, turn: ++task.turns }
    if (task.deliveries > 0) task.queue.suspects.push(turn)
    else task.queue.returned[task.priority]!.push(turn)
  }

  #keep(task: Known, leaseMs: number): void {
    if (!task.isCounted) task.deliveries++
    task.isCounted = true
    this.#hold(task, task.grant, leaseMs)
  }

  #hold(task: Known, grant: string, leaseMs: number): void {
    task.grant = grant
    this.#extend(task, leaseMs)
    // Extended, it is in the heap already, by an earlier time.
    if (task.phase === 'held') return
    task.phase = 'held'
    task.queue.held.push(heldOf(task))
  }

  #extend(held: Known | Lot<Queue>, leaseMs: number): void {
    held.until = this.#time + leaseMs
    held.graceMs = graceOf(leaseMs)
  }

  // ---- Handing out

  #match(offset: number, asked: readonly string[]): Answers {
    const grants: Grant[] = []
    const missed: string[] = []
    if (this.#wants.size > 0) {
      for (const queue of this.#queues.values()) this.#expire(queue)
      for (const [name, { want, until }] of this.#wants) {
        const tasks = until < this.#time ? [] : this.#take(want, offset)
        if (tasks.length > 0) grants.push({ name, grant: grantOf(name, offset), tasks })
        if (tasks.length > 0 || until <= this.#time) this.#wants.delete(name)
        if (tasks.length === 0 && until <= this.#time && asked.includes(name)) missed.push(name)
      }
    }
    return { grants, missed }
  }

  #expire({ held, later }: Queue): void {
    const over: Known[] = []
    for (let due = held.peek(); due !== undefined && due.dueAt <= this.#time; due = held.peek()) {
      held.pop()
      const { held: task } = due
      if (!this.#isHeld(task)) continue
      // Extended, or handed out again: its turn is that of its own time.
      if (task.until > due.dueAt) held.push(heldOf(task))
      else if (task.graceMs > 0) {
        task.until = this.#time + task.graceMs
        task.graceMs = 0
        held.push(heldOf(task))
      } else if (task instanceof Lot) over.push(...this.#dissolve(task))
      else over.push(task)
    }
    // As if there were no lots.
    for (const task of over.sort((a, b) => a.until - b.until || numberOf(a) - numberOf(b))) this.#makeReady(task)
    for (let due = later.peek(); due !== undefined && due.dueAt <= this.#time; due = later.peek()) {
      later.pop()
      if (this.#isStill(due.task, 'later') && due.task.until === due.dueAt) this.#makeReady(due.task)
    }
  }

  /** Lets go of what has no effect any more: at any time, since it changes nothing of what follows. */
  #trim({ held, later, suspects }: Queue): void {
    for (let due = held.peek(); due !== undefined; due = held.peek()) {
      const still = this.#isHeld(due.held)
      if (still && due.held.until <= due.dueAt) break
      held.pop()
      if (still) held.push(heldOf(due.held))
    }
    while (later.size > 0 && !this.#isStill(later.peek()!.task, 'later')) later.pop()
    while (suspects.length > 0 && !this.#isNext(suspects[0]!)) suspects.shift()
  }

  #isNext({ task, turn }: Turn): boolean {
    return task.turns === turn && this.#isStill(task, 'ready')
  }

  #isHeld(held: Known | Lot<Queue>): boolean {
    return held instanceof Lot ? held.left > 0 : this.#isStill(held, 'held')
  }

  #isStill(task: Known, phase: Phase): boolean {
    return task.phase === phase && this.#known.get(numberOf(task)) === task
  }

  #take({ name, queues: names, max, suspects, leaseMs }: Want, offset: number): GrantedTasks[] {
    const grant = grantOf(name, offset)
    // In their places: whether one is known that has nothing must make no difference.
    const queues = names.map((each) => this.#queues.get(each))
    if (suspects) {
      for (const queue of queues) {
        if (queue === undefined) continue
        for (let turn = queue.suspects.shift(); turn !== undefined; turn = queue.suspects.shift()) {
          if (this.#isNext(turn)) return [this.#grant(turn.task, grant, leaseMs)]
        }
      }
    }
    const taken: GrantedTasks[] = []
    let left = max
    // Another queue is the first each time, so that a full one cannot keep the others waiting; a count would depend on what was before the floor.
    const first = offset
    for (let priority = PRIORITIES - 1; priority >= 0 && left > 0; priority--) {
      for (let i = 0; i < queues.length && left > 0; i++) {
        const queue = queues[(first + i) % queues.length]
        if (queue === undefined) continue
        const returned = queue.returned[priority]!
        for (let turn = returned[0]; turn !== undefined && left > 0; turn = returned[0]) {
          returned.shift()
          if (!this.#isNext(turn)) continue
          taken.push(this.#grant(turn.task, grant, leaseMs))
          left--
        }
        const fresh = queue.fresh[priority]!
        let used = 0
        while (used < fresh.length && left > 0) {
          const some = fresh[used]!
          const to = Math.min(some.to, some.from + left)
          left -= to - some.from
          taken.push(this.#grantFresh(queue, { ...some, to }, grant, leaseMs))
          some.from = to
          if (to === some.to) used++
        }
        if (used > 0) fresh.splice(0, used)
      }
    }
    return taken
  }

  #grantFresh(queue: Queue, run: Run, grant: string, leaseMs: number): GrantedTasks {
    const lot = new Lot(queue, run, grant, this.#time + leaseMs, graceOf(leaseMs))
    this.#lots.add(lot)
    queue.held.push(heldOf(lot))
    const { offset, from, to } = run
    return { queue: queue.name, offset, from, to, deliveries: 1 }
  }

  #grant(task: Known, grant: string, leaseMs: number): GrantedTasks {
    task.isCounted = task.deliveries === 0
    if (task.isCounted) task.deliveries = 1
    this.#hold(task, grant, leaseMs)
    const deliveries = task.isCounted ? 1 : task.deliveries + 1
    return { queue: task.queue.name, offset: task.offset, from: task.index, to: task.index + 1, deliveries }
  }

  #queue(name: string): Queue {
    let queue = this.#queues.get(name)
    if (queue === undefined) this.#queues.set(name, (queue = new Queue(name)))
    return queue
  }
}

function isDue<T extends Due>(heap: Heap<T>, now: number): boolean {
  const next = heap.peek()
  return next !== undefined && next.dueAt <= now
}

function byName(a: Queue, b: Queue): number {
  return a.name < b.name ? -1 : 1
}

/** A want is granted once by one record. */
function grantOf(name: string, offset: number): string {
  return `${name}@${offset}`
}

/** Below 2^53 for offsets below 2^41. */
function numberOf({ offset, index }: { readonly offset: number; readonly index: number }): number {
  return offset * MOST_TASKS_OF_A_RECORD + index
}

function dueOf(task: Known): DueTask {
  return { dueAt: task.until, number: numberOf(task), task }
}

function heldOf(held: Known | Lot<Queue>): DueHeld {
  return { dueAt: held.until, held }
}

function graceOf(leaseMs: number): number {
  return Math.min(MOST_GRACE_MS, Math.ceil(leaseMs / 6))
}

/** One of a lot as it is known when something is said of it alone. */
function taskOf({ queue, offset, at, priority, grant, until, graceMs }: Lot<Queue>, index: number): Known {
  const counts = { deliveries: 1, isCounted: true, turns: 0 }
  return { queue, offset, index, at, priority, grant, until, graceMs, phase: 'held', ...counts }
}

function tasksOf(lot: Lot<Queue>): readonly Known[] {
  return [...lot.indexes()].map((index) => taskOf(lot, index))
}
