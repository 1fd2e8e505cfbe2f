// What happened, in order: for invariants, and to be read when one is broken.
import type { Scheduler } from './scheduler'

export type Happening =
  | ({ readonly what: 'started'; readonly saw: string } & Called)
  | ({ readonly what: 'finished'; readonly hasFailed: boolean } & Called)
  /** Somebody has heard an event that is about an attempt. */
  | {
      readonly what: 'heard'
      readonly type: string
      readonly source: string
      readonly key: string
      readonly attempt: number
      /** It is the failure of one whose arguments are gone. */
      readonly hasNoArguments: boolean
    }
  /** An event is being sent, perhaps not for the first time: to a pipeline, or to the namespace. */
  | { readonly what: 'event'; readonly to: string; readonly key: string; readonly number: number; readonly id: string }
  /** The source of a listener has heard that what it gave is safe. */
  | { readonly what: 'acknowledged'; readonly of: string }
  /** A command has become part of the pipeline's state. */
  | { readonly what: 'commanded'; readonly id: string }
  | { readonly what: 'commit'; readonly commit: CommitRecord }
  | { readonly what: 'received'; readonly id: string; readonly deliveries: number; readonly says: string }
  | { readonly what: 'fault'; readonly fault: string }
  | { readonly what: 'log'; readonly level: 'warn' | 'error'; readonly text: string }
  /** Anything else, for the reader alone. */
  | { readonly what: 'note'; readonly text: string }

interface Called {
  readonly label: string
  readonly attempt: number
  readonly key: string
}

export interface CommitRecord {
  readonly partition: number
  readonly claim: string
  readonly epoch: number
  readonly seq: number
  readonly through: string | undefined
  readonly sends: readonly string[]
  readonly says: readonly string[]
  /** Not applied, whatever the session was told. */
  readonly refused: string | undefined
}

export interface Entry {
  readonly at: number
  readonly who: string
  readonly happening: Happening
}

export class History {
  readonly entries: Entry[] = []
  readonly #scheduler: Scheduler

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /** Ms since the start. */
  get now(): number {
    return this.#scheduler.now
  }

  add(who: string, happening: Happening): void {
    this.entries.push({ at: this.#scheduler.now, who, happening })
  }

  note(who: string, text: string): void {
    this.add(who, { what: 'note', text })
  }

  toString(): string {
    return this.entries.map(lineOf).join('\n')
  }
}

function lineOf({ at, who, happening }: Entry): string {
  return `${at.toFixed(2).padStart(12)}  ${who.padEnd(6)} ${textOf(happening)}`
}

function textOf(happening: Happening): string {
  switch (happening.what) {
    case 'started':
      return `started ${happening.label}, attempt ${happening.attempt}, as ${happening.saw}`
    case 'finished':
      return `finished ${happening.label}, attempt ${happening.attempt}`
    case 'heard':
      return `hears ${happening.type} of ${happening.key}, attempt ${happening.attempt}, from ${happening.source}`
    case 'event':
      return `sends event ${happening.id}, ${happening.key} number ${happening.number}, to ${happening.to || 'the namespace'}`
    case 'acknowledged':
      return `acknowledges ${happening.of}`
    case 'commanded':
      return `a command to ${happening.id} is taken`
    case 'commit': {
      const { partition, claim, seq, through, says, refused } = happening.commit
      const consumed = through === undefined ? '' : ` through ${through}`
      return `commit ${partition}:${seq} by ${claim}${consumed}${refused === undefined ? '' : `: ${refused}`}${says.map((line) => `\n${' '.repeat(23)}${line}`).join('')}`
    }
    case 'received':
      return `received ${happening.says}${happening.deliveries > 1 ? `, delivery ${happening.deliveries}` : ''}`
    case 'fault':
      return `FAULT ${happening.fault}`
    case 'log':
      return `${happening.level}: ${happening.text}`
    case 'note':
      return happening.text
  }
}
