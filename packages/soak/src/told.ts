// What the event log has to say in the end of pipelines that all ended well: the whole story of each, whoever was killed meanwhile.
import type { Client, CloudEvent } from '@tasks/core'
import { expect } from 'vitest'

const WORKER = 'dev.tasks.worker.'

/**
 * Workers were asked for `events: 'tasks'` and `durableWorkerEvents`.
 * @param expected how many task entries of each pipeline have ended well
 */
export async function checkTold(client: Client, expected: ReadonlyMap<string, number>): Promise<void> {
  const told = new Map<string, CloudEvent[]>()
  for await (const item of await client.subscribe({ from: 'beginning', follow: false })) {
    expect(item.kind, 'retention has dropped nothing yet').toBe('event')
    if (item.kind !== 'event') continue
    // Trouble with the server is of no pipeline.
    const id = item.event.rootid ?? ''
    const events = told.get(id)
    if (events === undefined) told.set(id, [item.event])
    else events.push(item.event)
  }
  for (const [id, tasks] of expected) {
    const events = told.get(id) ?? []
    const own = events.filter(({ type }) => !type.startsWith(WORKER))
    expect(
      own.map(({ sequence }) => Number(sequence)),
      `the events of ${id}`,
    ).toEqual(own.map((_, index) => index + 1))
    const completed = own.filter(({ type }) => type === 'dev.tasks.task.completed').map(({ subject }) => subject)
    expect(completed.length, `tasks of ${id} that have ended well`).toBe(tasks)
    expect(own.at(-1)).toMatchObject({ type: 'dev.tasks.pipeline.status', data: { status: 'COMPLETED' } })
    const finished = new Set(events.filter(({ type }) => type === `${WORKER}finished`).map(({ subject }) => subject))
    const missing = completed.filter((subject) => !finished.has(subject))
    expect(missing, `what no worker has said to have finished of ${id}`).toEqual([])
  }
}
