// What owners say on the event log, against what they do: an event for each transition, in order, and none without one.
//
// L1  events of a pipeline are numbered without a gap      L2  the statuses that are told are those that it has had
// L3  what ends was sent, and each end is told             L4  who listens hears each event once, in order, and no other: those of workers, too
import type { EventLevel, Send, SendOutcome } from '@tasks/core'
import type { PipelineState } from './saying'
import type { SharedEvents } from './shared-events'

interface Event {
  readonly id: string
  readonly type: string
  readonly subject: string
  readonly pipelineid?: string
  readonly rootid?: string
  readonly sequence?: string
  readonly data: { readonly status?: string; readonly previous?: string }
}

/** What has been told of one pipeline. */
interface Told {
  sequence: number
  status: string | undefined
  /** Tasks that were sent and have not ended. */
  readonly open: Set<string>
  ended: number
}

const TASK_ENDS = ['completed', 'failed', 'retried', 'cancelled'].map((how) => `dev.tasks.task.${how}`)

export class EventLog {
  /** Ids of all events that are part of a commit, or that a worker may have stored. */
  readonly #said = new Set<string>()
  /** Those of them that are stored and have not been heard. */
  readonly #unheard = new Set<string>()
  readonly #level: EventLevel
  readonly #broken: (text: string) => void
  readonly #shared: SharedEvents | undefined
  readonly #told = new Map<string, Told>()
  readonly #heard = new Set<string>()
  readonly #latest = new Map<string, number>()

  /** @param shared what the members of a named subscription have, if there is one */
  constructor(level: EventLevel, broken: (text: string) => void, shared: SharedEvents | undefined) {
    this.#level = level
    this.#broken = broken
    this.#shared = shared
  }

  commit(sends: readonly Send[], states: readonly PipelineState[]): void {
    const lone = new Set(states.filter((state) => state.lone).map(({ id }) => id))
    for (const { target, body } of sends) {
      if (target.to !== 'events') continue
      for (const event of JSON.parse(Buffer.from(body).toString()) as readonly Event[]) this.#tell(event, lone)
    }
    if (this.#level === 'none') return
    for (const { id, gen, status, lone, attempts } of states) {
      if (lone && this.#level !== 'tasks') continue
      const told = this.#told.get(`${id}/${gen.toString(36)}`)
      if (told?.status !== status) this.#broken(`L2: ${id} is ${status}, and is told to be ${told?.status}`)
      const isTold = this.#level !== 'tasks' || (status !== 'COMPLETED' && status !== 'FAILED')
      if (!isTold && told?.ended !== attempts)
        this.#broken(`L3: ${id} had ${attempts} attempts, and the ends of ${told?.ended} are told`)
    }
  }

  /** A worker has sent what it says of tasks. */
  sent(batch: readonly Send[], outcomes: readonly SendOutcome[]): void {
    batch.forEach(({ target, body }, at) => {
      if (target.to !== 'events') return
      for (const { id } of JSON.parse(Buffer.from(body).toString()) as readonly Event[])
        if (outcomes[at]?.ok === true) this.#stored(id)
        else this.#said.add(id)
    })
  }

  #stored(id: string): void {
    this.#said.add(id)
    if (!this.#heard.has(id)) this.#unheard.add(id)
    this.#shared?.stored(id)
  }

  #tell(event: Event, lone: ReadonlySet<string | undefined>): void {
    const { id, type, subject, pipelineid, rootid, sequence, data } = event
    this.#stored(id)
    if (sequence === undefined) return
    const told = this.#of(id)
    if (Number(sequence) !== ++told.sequence) this.#broken(`L1: event ${id} is the ${told.sequence}th of its pipeline`)
    if (type === 'dev.tasks.pipeline.status' && pipelineid === rootid) {
      if (data.previous !== told.status)
        this.#broken(`L2: ${rootid} is told to have been ${data.previous}, and was ${told.status}`)
      told.status = data.status
    }
    if (type === 'dev.tasks.task.dispatched') told.open.add(subject)
    if (!TASK_ENDS.includes(type)) return
    // The first attempt of a lone task that had to be kept was nobody's to tell.
    const isUntold = told.ended++ === 0 && lone.has(rootid)
    if (!told.open.delete(subject) && !isUntold) this.#broken(`L3: ${subject} is told to have ended, and nobody had it`)
  }

  #of(eventId: string): Told {
    const name = eventId.slice(0, eventId.lastIndexOf('.'))
    let told = this.#told.get(name)
    if (told === undefined) this.#told.set(name, (told = { sequence: 0, status: undefined, open: new Set(), ended: 0 }))
    return told
  }

  /** Somebody who listens has heard this. */
  hear({ id, sequence }: Pick<Event, 'id' | 'sequence'>): void {
    if (this.#heard.has(id)) this.#broken(`L4: event ${id} is heard twice`)
    this.#heard.add(id)
    this.#unheard.delete(id)
    if (sequence === undefined) return
    const name = id.slice(0, id.lastIndexOf('.'))
    const latest = this.#latest.get(name) ?? 0
    if (Number(sequence) !== latest + 1) this.#broken(`L4: event ${id} is heard after number ${latest}`)
    this.#latest.set(name, Number(sequence))
  }

  /** Whether everything that is stored has been heard. */
  get isHeard(): boolean {
    return this.#unheard.size === 0
  }

  /** All that may be on the log. */
  get said(): ReadonlySet<string> {
    return this.#said
  }

  /** Heard, and never told. */
  get invented(): readonly string[] {
    return [...this.#heard].filter((id) => !this.#said.has(id))
  }
}
