// What stands in the event log of a system.
import { HTTP, type CloudEvent as OfficialEvent } from 'cloudevents'
import { expect } from 'vitest'
import { eventsOf, type CloudEvent } from '../../src/events/cloud-event'
import type { MemoryTransport } from '../../src/memory'
import { NAMESPACE } from './system'

/** Everything in the log, by partition. */
export async function logOf(transport: MemoryTransport): Promise<readonly Uint8Array[]> {
  const space = await transport.open({ namespace: NAMESPACE })
  const after = new Map(Array.from({ length: space.partitions }, (_, partition) => [partition, undefined] as const))
  const pages = await space.events.read({ after, max: 100_000, waitMs: 0 })
  await space.close()
  return pages.flatMap(({ events }) => events.map(({ body }) => body))
}

export async function eventsIn(transport: MemoryTransport): Promise<readonly CloudEvent[]> {
  return (await logOf(transport)).flatMap((body) => eventsOf(body))
}

/** The events of a body of the log, each read by the official package, alone and in its batch. */
export function readOfficially(body: Uint8Array): readonly CloudEvent[] {
  const text = Buffer.from(body).toString()
  const batchHeaders = { 'content-type': 'application/cloudevents-batch+json' }
  const batch = HTTP.toEvent({ headers: batchHeaders, body: text }) as OfficialEvent<unknown>[]
  const events = JSON.parse(text) as CloudEvent[]
  expect(batch).toHaveLength(events.length)
  const headers = { 'content-type': 'application/cloudevents+json' }
  for (const event of events) {
    const read = HTTP.toEvent({ headers, body: JSON.stringify(event) }) as OfficialEvent<unknown>
    expect(read.validate()).toBe(true)
    expect(read.toJSON()).toMatchObject({ ...event })
  }
  return events
}
