// Where an event is sent to: a pipeline, or the namespace; and in which partition that is.
import { escapeId, partitionOf, unescapeId } from '../ids'

export function eventAddress(pipelineId: string | undefined, key: string): string {
  return pipelineId === undefined ? `n/${key}` : `p/${escapeId(pipelineId)}/${key}`
}

/** Events for a pipeline live where it does; it need not be there yet. */
export function partitionOfAddress(address: string, partitions: number): number {
  if (!address.startsWith('p/')) return partitionOf(address, partitions)
  return partitionOf(unescapeId(address.slice(2, address.indexOf('/', 2))), partitions)
}
