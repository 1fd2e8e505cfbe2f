// A place in an inbox or an event log: behind a message of the server, or behind one of ours in it. It says when the message was stored, too: a server that has lost the end of a
// stream, in a power cut, gives its numbers out again.
import type { Position } from '@tasks/core'

export interface Mark {
  readonly sequence: number
  /** Of ours in it; absent: behind all of them. */
  readonly place?: number
  /** When the server stored it, in ms since the epoch; absent if that is not known. */
  readonly at?: number
}

/** `<sequence>.<place>@<at>` */
export function positionOf({ sequence, place, at }: Mark): Position {
  return `${sequence}${place === undefined ? '' : `.${place}`}${at === undefined ? '' : `@${at}`}`
}

export function markOf(position: Position): Mark {
  const [behind = '', at] = position.split('@')
  const [sequence, place] = behind.split('.')
  return {
    sequence: Number(sequence),
    ...(place !== undefined && { place: Number(place) }),
    ...(at !== undefined && { at: Number(at) }),
  }
}
