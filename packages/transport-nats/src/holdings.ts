// What this process holds of the server's messages, and what it says to the server of them. A message has one task or many, and goes when nothing of it is left. Until then what is settled of
// it is noted in the state stream, for whoever gets the message if this process dies: so what was settled never comes again, and only what was not becomes suspect.
import type { Clock } from '@tasks/core/adapter'
import type { Msg } from '@nats-io/transport-node'
import { isRefusal, unavailable } from './failure'
import type { Frame } from './frame'
import { decodeFrames, encodeFrame } from './frame'
import type { JetStream, Stored } from './jetstream'
import { deliveryOf, NANOS } from './jetstream'
import type { Level, Names } from './names'
import type { Source } from './pulls'

/** One level of one queue. */
export interface Shelf extends Source {
  readonly queue: string
  readonly level: Level
  /** For how long the server leaves a message with whoever has it, if nothing else is said. */
  ackWaitMs: number | undefined
}

/** A message that this process has, until it is acknowledged or its time is over. */
export interface Held {
  readonly shelf: Shelf
  /** In the stream. */
  readonly sequence: number
  /** When the server stored it, in ms since the epoch. */
  readonly storedAt: number
  /** How often the server has handed it out. */
  readonly count: number
  /** The subject that settles it. It says its number in the stream, and the server looks at nothing else. */
  readonly reply: string
  /** The number of the connection by which it is known to be that message: behind another the server may have lost it, and given the number to another. */
  connection: number
  readonly tasks: readonly HeldTask[]
  /** By the clock of this process. */
  until: number
  /** There is, or may be, a note of it. */
  isNoted: boolean
}

export interface HeldTask {
  readonly message: Held
  readonly place: number
  readonly frame: Frame
  /** When the lease of whoever was given it runs out; undefined before that. */
  until: number | undefined
  /** All that its settlement stores is stored: it need not come again. */
  isDone: boolean
  /** And the server has confirmed that it does not. */
  isSettled: boolean
}

export interface HoldingsParts {
  readonly jetstream: JetStream
  readonly clock: Clock
  readonly names: Names
}

const ACK = Buffer.from('+ACK')
const WORKING = Buffer.from('+WPI')

export class Holdings {
  readonly #parts: HoldingsParts
  readonly #leaseMs: number

  constructor(parts: HoldingsParts, leaseMs: number) {
    this.#parts = parts
    this.#leaseMs = leaseMs
  }

  /** What has just come. */
  take(shelf: Shelf, { reply = '', data }: Msg): Held {
    const { clock, jetstream } = this.#parts
    const { count, stream: sequence, at: storedAt } = deliveryOf(reply)
    const tasks: HeldTask[] = []
    const until = clock.monotonic() + this.#leaseMs
    const connection = jetstream.connection.number
    const message: Held = { shelf, sequence, storedAt, count, reply, connection, tasks, until, isNoted: false }
    for (const frame of decodeFrames(data))
      tasks.push({ message, place: tasks.length, frame, until: undefined, isDone: false, isSettled: false })
    return message
  }

  /** For the time of a lease from now on. False if the server was not told. */
  extend(message: Held): boolean {
    const { clock } = this.#parts
    const isTold =
      message.shelf.ackWaitMs === this.#leaseMs ? this.#say(message, WORKING) : this.postpone(message, this.#leaseMs)
    if (isTold) message.until = clock.monotonic() + this.#leaseMs
    return isTold
  }

  /** The server hands it out again after this time, unless it is acknowledged before. */
  postpone(message: Held, ms: number): boolean {
    return this.#say(message, Buffer.from(`-NAK {"delay": ${Math.ceil(ms) * NANOS}}`))
  }

  /** What it consists of, as the server has it: whoever was given a task may have changed its bytes. Nothing if others have settled it. */
  async stored(message: Held): Promise<readonly Frame[]> {
    const found = await this.#find(message)
    return found === undefined ? [] : decodeFrames(found.data)
  }

  async #find({ shelf, sequence, storedAt }: Held): Promise<Stored | undefined> {
    const found = await this.#parts.jetstream.find(shelf.stream, { seq: sequence })
    return found?.at === storedAt ? found : undefined
  }

  /** Whether the server still means this message by its number. */
  async #isStill(message: Held): Promise<boolean> {
    const { number } = this.#parts.jetstream.connection
    if (message.connection === number) return true
    if ((await this.#find(message)) === undefined) return false
    message.connection = number
    return true
  }

  /** Looks whether they are still there, behind a new connection. */
  async recognize(messages: readonly Held[]): Promise<void> {
    await Promise.all(messages.map((message) => this.#isStill(message)))
  }

  /** Whether what is said now is said over the connection by which it is known to be that message. */
  #isReachable(message: Held): boolean {
    const { connection } = this.#parts.jetstream
    return connection.isConnected && message.connection === connection.number
  }

  /** Says something of it that nobody answers. False if it was not said. */
  #say(message: Held, what: Uint8Array): boolean {
    return this.#isReachable(message) && this.#parts.jetstream.connection.say(message.reply, what)
  }

  /** As a new message, so that this delivery does not count; alone, so that each goes to whoever is free. */
  async putBack(task: HeldTask, frame: Frame, delayMs: number): Promise<void> {
    const { level } = task.message.shelf
    await this.#store(task, level === 'many' ? 0 : level, { ...frame, delayMs }, true)
    task.isDone = true
  }

  /** Its lease has run out although the message is held on. */
  async runOut(task: HeldTask): Promise<void> {
    const { until } = task
    task.until = undefined
    try {
      const frame = (await this.stored(task.message))[task.place]
      if (frame !== undefined) await this.#makeSuspect(task, frame)
      await this.settle([task])
    } catch (error) {
      // When the others are extended the next time.
      if (!task.isDone) task.until = until
      throw error
    }
  }

  /** The message has run out, with somebody else. Each task that is left becomes a message of its own. */
  async takeOver(message: Held): Promise<void> {
    const { jetstream, names } = this.#parts
    if (message.tasks.length > 1) {
      const note = await jetstream.find(names.streams.state, { last_by_subj: names.settled(message.sequence) })
      message.isNoted = note !== undefined
      for (const task of message.tasks) task.isDone = note !== undefined && isDoneIn(note.data, task)
    }
    const left = message.tasks.filter((task) => !task.isDone)
    await Promise.allSettled(left.map((task) => this.#makeSuspect(task, task.frame)))
    // If that was not all of them the rest comes again.
    await this.settle(message.tasks.filter((task) => task.isDone))
  }

  /** All that these settlements store is stored. Resolves when the server knows that they need not come again. */
  async settle(tasks: readonly HeldTask[]): Promise<void> {
    for (const task of tasks) task.isDone = true
    const messages = [...new Set(tasks.map(({ message }) => message))]
    await Promise.all([
      this.#acknowledge(messages.filter(isEmpty)),
      ...messages.filter((message) => !isEmpty(message)).map((message) => this.#note(message)),
    ])
    for (const task of tasks) task.isSettled = true
  }

  /** The server confirms the last of each consumer, which it hears after the others. What it has lost needs no acknowledgement. */
  async #acknowledge(settled: readonly Held[]): Promise<void> {
    const { jetstream, names } = this.#parts
    const still = await Promise.all(settled.map((message) => this.#isStill(message)))
    const messages = settled.filter((_, i) => still[i])
    const { connection } = jetstream
    const last = new Map(messages.map((message) => [message.shelf, message]))
    await Promise.all(
      messages.map(async (message) => {
        const isLast = last.get(message.shelf) === message
        if (!(isLast ? this.#isReachable(message) : this.#say(message, ACK)))
          throw unavailable('settle', 'the connection was lost', 'unknown')
        if (isLast) await connection.call(message.reply, ACK)
      }),
    ).catch(async (error: unknown) => {
      if (!isRefusal(error)) throw error
      // One that is gone has taken what it knew with it; one whose leader is being chosen has not heard this.
      for (const { stream, consumer } of last.keys())
        if ((await jetstream.consumerInfo(stream, consumer)) !== undefined)
          throw unavailable('settle', 'a leader is being chosen', 'unknown', error)
    })
    for (const { isNoted, sequence } of messages)
      if (isNoted) jetstream.purge(names.streams.state, names.settled(sequence)).catch(() => {})
  }

  /** Made anew with each try: the last one that is stored says everything. */
  async #note(message: Held): Promise<void> {
    const { jetstream, clock, names } = this.#parts
    const subject = names.settled(message.sequence)
    message.isNoted = true
    await jetstream.connection.insist(subject, true, async () => {
      if (isEmpty(message)) return this.#acknowledge([message])
      // When others have taken it over nobody asks for the note any more.
      const isLate = message.until <= clock.monotonic()
      if (isLate && (await this.#find(message)) === undefined) return
      await jetstream.store(subject, encodeNote(message))
    })
  }

  async #makeSuspect(task: HeldTask, frame: Frame): Promise<void> {
    await this.#store(task, 'suspect', { ...frame, deliveries: frame.deliveries + 1, delayMs: 0 }, false)
    task.isDone = true
  }

  async #store({ message }: HeldTask, level: Level, frame: Frame, isRepeatable: boolean): Promise<void> {
    const { jetstream, names } = this.#parts
    const { subject } = names.queue(message.shelf.queue, level)
    const data = encodeFrame(frame.id, frame.body, { ...frame, sentAt: frame.sentAt || message.storedAt })
    await jetstream.connection.insist(subject, isRepeatable, () => jetstream.store(subject, data))
  }
}

const TIME_BYTES = 6

/** When the message was stored, and a byte for each of its tasks. A server that has lost the end of its queue gives the number to another message: nothing of that is settled. */
function encodeNote({ storedAt, tasks }: Held): Buffer {
  const note = Buffer.alloc(TIME_BYTES + tasks.length)
  note.writeUIntBE(storedAt, 0, TIME_BYTES)
  for (const { place, isDone } of tasks) note[TIME_BYTES + place] = Number(isDone)
  return note
}

function isDoneIn(note: Uint8Array, { message, place }: HeldTask): boolean {
  if (note.length <= TIME_BYTES + place) return false
  return Buffer.from(note).readUIntBE(0, TIME_BYTES) === message.storedAt && note[TIME_BYTES + place] === 1
}

/** Nothing of it is left. */
function isEmpty({ tasks }: Held): boolean {
  return tasks.every((task) => task.isDone)
}
