// From the events of a draft to the sends of its commit: CloudEvents, several in one record of the log.
import { batchesOf, sequenceText, timeText, type CloudEvent } from '../events/cloud-event'
import { SENT_EVENT } from '../events/event-filter'
import type { PartitionSession, Send } from '../transport'
import type { Draft } from './draft'
import type { Emitted } from './emit'
import { eventAddress } from './event-address'

export function eventSends(
  draft: Draft,
  { partition, claim }: PartitionSession,
  source: string,
  mostBytes: number,
): readonly Send[] {
  if (draft.events.length === 0 && draft.sentEvents.length === 0) return []
  const events = [
    ...draft.sentEvents.map((sent) => JSON.stringify(sentEvent(sent, source))),
    ...draft.events.map((event) => JSON.stringify(cloudEvent(event, source))),
  ]
  return batchesOf(events, mostBytes).map((body, index) => ({
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

function cloudEvent({ type, id, run, gen, sequence, at, frame, path, data }: Emitted, source: string): CloudEvent {
  return {
    specversion: '1.0',
    // A pipeline id may be used again; a generation is not.
    id: `${id}/${gen.toString(36)}.${sequence}`,
    source,
    type,
    subject: path === '' ? id + frame : id + path,
    time: timeText(at),
    datacontenttype: 'application/json',
    pipelineid: id + frame,
    rootid: id,
    run,
    sequence: sequenceText(sequence),
    data,
  }
}
