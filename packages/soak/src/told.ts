// What the event log has to say of pipelines that all ended well: the whole story of each, whoever was killed meanwhile.
import type { Client, CloudEvent } from '@tasks/core'
import { expect } from 'vitest'

const WORKER = 'dev.tasks.worker.'

/**
 * Workers were asked for `events: 'tasks'` and `durableWorkerEvents`.
 * @param from where these pipelines begin, at the latest
 * @param expected how many task entries of each have ended well
 * @returns where to begin with those that come next
 */
export async function checkTold(client: Client, from: string, expected: ReadonlyMap<string, number>): Promise<string> {
  const told = new Map<string, CloudEvent[]>()
  let end = from
  for await (const item of await client.subscribe({ from, follow: false })) {
    end = item.position
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
  return end
}
