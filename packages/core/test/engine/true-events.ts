// What must be true of the events of one pipeline, whatever happened to it.
import { expect } from 'vitest'
import type { Emitted } from '../../src/engine/draft'
import type { ReducerWorld } from './reducer-world'

const sentOf = ({ path, attempt, resends }: { path: string; attempt: number; resends?: number }): string =>
  `${path} #${attempt} ${resends ?? 0}`

/** Each transition of the run of `p` has left its event: none is missing, none is invented, none comes before its cause. */
export function expectTrueEvents(world: ReducerWorld): void {
  const { events } = world
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1))
  expect(events[0]!.type).toBe('dev.tasks.pipeline.created')
  const statuses = events.flatMap((event) => (event.type === 'dev.tasks.pipeline.status' ? [event.data] : []))
  expect(statuses.map(({ previous }) => previous)).toEqual([undefined, ...statuses.slice(0, -1).map((s) => s.status)])
  expect(statuses.at(-1)!.status).toBe(world.pipelineRow().status)

  const sent = events.flatMap((event) =>
    event.type === 'dev.tasks.task.dispatched' ? [sentOf({ path: event.path, ...event.data })] : [],
  )
  expect(sent.sort()).toEqual(world.dispatches.map(sentOf).sort())

  const open = new Set<string>()
  let ended = 0
  for (const event of events) {
    if (isOf(event, 'dispatched')) open.add(event.path)
    if (isOf(event, 'completed', 'failed', 'retried', 'cancelled')) {
      expect(open.has(event.path), `${event.type} of ${event.path}, which nobody had`).toBe(true)
      open.delete(event.path)
      ended++
    }
  }
  expect(ended).toBe(world.pipelineRow().attempts)
}

function isOf(event: Emitted, ...names: readonly string[]): boolean {
  return names.some((name) => event.type === `dev.tasks.task.${name}`)
}
