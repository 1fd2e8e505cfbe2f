// From the events of a draft to the sends of its commit: CloudEvents, several in one record of the log.
import { batchesOf, sequenceText, timeText, traceMember, type CloudEvent } from '../events/cloud-event'
import { SENT_EVENT } from '../events/event-filter'
import type { PartitionSession, Send } from '../transport'
import type { Draft } from './draft'
import type { Emitted } from './draft'
import { eventAddress } from './event-address'

/** Publishes what workers say, as far as it is owners who know it. */
export interface CommitAnnouncer {
  /** Events that are to be part of the commit itself, as JSON. */
  inCommit(draft: Draft): readonly string[]
  committed(draft: Draft): void
  /** It may have failed, and this session with it. */
  notCommitted(draft: Draft, error: unknown): void
}

export function eventSends(
  draft: Draft,
  { partition, claim }: PartitionSession,
  source: string,
  mostBytes: number,
  announced: readonly string[],
): readonly Send[] {
  if (draft.events.length === 0 && draft.sentEvents.length === 0 && announced.length === 0) return []
  const events = draft.sentEvents.map((sent) => JSON.stringify(sentEvent(sent, source)))
  // All of one commit happen at one time.
  const time = timeText(draft.now)
  const sourceText = JSON.stringify(source)
  for (const event of draft.events) events.push(eventText(event, sourceText, time))
  events.push(...announced)
  return batchesOf(events, mostBytes).map(({ body }, index) => ({
    target: { to: 'events', partition },
    id: `${claim}.${draft.seq}.e${index}`,
    body,
  }))
}

function sentEvent({ eventId, at, data }: Draft['sentEvents'][number], source: string): CloudEvent {
  const { key, pipelineId } = data
  return {
    specversion: '1.0',
    id: `${eventAddress(pipelineId, key)}/${eventId}`,
    source,
    type: SENT_EVENT,
    subject: key,
    time: timeText(at),
    datacontenttype: 'application/json',
    ...(pipelineId === undefined ? {} : { pipelineid: pipelineId, rootid: pipelineId }),
    data,
  }
}

/**
 * A `CloudEvent` as JSON. Put together by hand: to make an object of it first costs more than all else about an event.
 */
function eventText(
  { type, id, run, gen, sequence, meta, frame, path, data }: Emitted,
  source: string,
  time: string,
): string {
  const about = JSON.stringify(id + frame)
  const subject = path === '' ? about : JSON.stringify(id + path)
  const root = frame === '' ? about : JSON.stringify(id)
  // A pipeline id may be used again; a generation is not.
  const name = `${root.slice(0, -1)}/${gen.toString(36)}.${sequence}"`
  return (
    `{"specversion":"1.0","id":${name},"source":${source},"type":"${type}","subject":${subject},"time":"${time}",` +
    `"datacontenttype":"application/json","pipelineid":${about},"rootid":${root},"run":${JSON.stringify(run)},` +
    `"sequence":"${sequenceText(sequence)}",${traceMember(meta)}"data":${JSON.stringify(data)}}`
  )
}
