// What the event log holds, as the transport keeps it: readers are spared what comes twice, and here it is looked for. The events of a commit are in records that are named after it. So two commits that made one
// transition, by owners who knew nothing of each other, are two records that tell of the same event.
import type { CloudEvent, Space } from '@tasks/core'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { isOfWorker } from './history'

export class Commits {
  readonly #space: Space
  readonly #after: Map<number, string | undefined>
  /** What each record held, by its id. */
  readonly #records = new Map<string, string>()
  /** The record that told of an event. */
  readonly #told = new Map<string, string>()

  constructor(space: Space) {
    this.#space = space
    this.#after = new Map(Array.from({ length: space.partitions }, (_, partition) => [partition, undefined]))
  }

  /**
   * Reads on.
   * @throws AssertionError if two records tell of one transition, or two of one name are not the same; that one comes again, after a take-over, is nothing
   */
  async check(): Promise<void> {
    for (;;) {
      const pages = await this.#space.events.read({ after: this.#after, max: 1_000, waitMs: 0 })
      if (pages.length === 0) return
      for (const { partition, gap, events, position } of pages) {
        assert.ok(!gap, 'retention has dropped something already')
        for (const { id, body } of events) this.#take(id, Buffer.from(body))
        this.#after.set(partition, position)
      }
    }
  }

  #take(record: string, body: Buffer): void {
    const content = createHash('sha1').update(body).digest('base64')
    assert.equal(this.#records.get(record) ?? content, content, `two records are called ${record}, and differ`)
    this.#records.set(record, content)
    for (const event of JSON.parse(body.toString()) as readonly CloudEvent[]) {
      if (isOfWorker(event)) continue
      const first = this.#told.get(event.id) ?? record
      assert.equal(first, record, `two commits have made the transition ${event.id} (${event.type})`)
      this.#told.set(event.id, record)
    }
  }
}
