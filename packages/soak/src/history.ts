// What the event log has to say of pipelines that all ended well: the whole story of each, once, whoever was killed meanwhile.
import type { Client, CloudEvent } from '@tasks/core'
import assert from 'node:assert/strict'

const WORKER = 'dev.tasks.worker.'
const STATUS = 'dev.tasks.pipeline.status'
const COMPLETED = 'dev.tasks.task.completed'

/** Of workers that were asked for `events: 'tasks'` and `durableWorkerEvents`. */
export class History {
  readonly #client: Client
  #position = 'beginning'
  readonly #over = new Set<string>()
  readonly #seen = new Set<string>()

  constructor(client: Client) {
    this.#client = client
  }

  /**
   * Reads on, and holds what it finds against what has happened.
   * @param ended how many task entries of each pipeline that has ended since the last time have ended well
   */
  async check(ended: ReadonlyMap<string, number>): Promise<void> {
    const told = new Map<string, CloudEvent[]>()
    let position = this.#position
    for await (const item of await this.#client.subscribe({ from: position, follow: false })) {
      position = item.position
      assert.equal(item.kind, 'event', 'retention has dropped something already')
      if (item.kind !== 'event') continue
      // An owner that takes over may say again what the one before it has said: duplicates are known by their id.
      if (this.#seen.has(item.event.id)) continue
      this.#seen.add(item.event.id)
      // Trouble with the server is of no pipeline.
      const id = item.event.rootid ?? ''
      const events = told.get(id)
      if (events === undefined) told.set(id, [item.event])
      else events.push(item.event)
    }
    for (const [id, tasks] of ended) checkStory(id, told.get(id) ?? [], tasks)
    for (const [id, events] of told) {
      if (this.#over.has(id)) assert.deepEqual(transitionsOf(events), [], `${id} had ended, and went on`)
    }
    this.#position = position
    for (const id of ended.keys()) this.#over.add(id)
  }
}

function checkStory(id: string, events: readonly CloudEvent[], tasks: number): void {
  const own = transitionsOf(events)
  const numbers = own.map(({ sequence }) => Number(sequence))
  assert.deepEqual({ id, numbers }, { id, numbers: own.map((_, index) => index + 1) })
  const seen = new Set<string>()
  for (const event of own) {
    const transition = nameOf(event)
    assert.ok(!seen.has(transition), `twice in ${id}: ${transition}`)
    seen.add(transition)
  }
  assert.equal(own.at(-1) && nameOf(own.at(-1)!), `${STATUS} ${id} COMPLETED`, `the last of ${id}`)
  const completed = own.filter(({ type }) => type === COMPLETED).map(({ subject }) => subject)
  assert.equal(completed.length, tasks, `tasks of ${id} that have ended well`)
  const finished = new Set(events.filter(({ type }) => type === `${WORKER}finished`).map(({ subject }) => subject))
  const missing = completed.filter((subject) => !finished.has(subject))
  assert.deepEqual(missing, [], `what no worker has said to have finished of ${id}`)
}

function transitionsOf(events: readonly CloudEvent[]): readonly CloudEvent[] {
  return events.filter((event) => !isOfWorker(event))
}

/** Said by a worker, who may say it again. */
export function isOfWorker({ type }: Pick<CloudEvent, 'type'>): boolean {
  return type.startsWith(WORKER)
}

/** What may happen to a pipeline, or to an attempt of one of its tasks, only once. */
function nameOf({ type, subject, data }: CloudEvent): string {
  const { status, attempt, resends } = data as { status?: string; attempt?: number; resends?: number }
  return [type, subject, status, attempt, resends].filter((part) => part !== undefined).join(' ')
}
