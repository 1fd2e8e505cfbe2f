// To clients.
import { TaskError } from '../errors'
import { decodeRecord, encodeRecord } from '../record'
import type { Bytes } from '../transport'
import type { Kind, Value } from '../value'
import { checkVersion, WIRE_VERSION } from './version'

/** What an owner says of a pipeline that it has taken. */
export const pipelineStatuses = ['RUNNING', 'PAUSED', 'CANCELLING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const

/** `PENDING`: submitted, and not taken by an owner yet. */
export type Status = (typeof pipelineStatuses)[number] | 'PENDING'

export type ReplyBody =
  /** A run has ended. */
  | {
      readonly type: 'ended'
      readonly id: string
      readonly run: string
      readonly status: Status
      readonly value: Value
    }
  /** Who submitted, or asked for, `run` has to do with the run `actual` of this id. */
  | { readonly type: 'attached'; readonly id: string; readonly run: string; readonly actual: string }
  /** A submit was taken (asked for by `onDuplicate`). */
  | { readonly type: 'accepted'; readonly id: string; readonly run: string }
  /** A submit was refused. `failure` is a `Failure`. */
  | { readonly type: 'refused'; readonly id: string; readonly run: string; readonly failure: unknown }
  | {
      readonly type: 'answer'
      readonly correlation: string
      readonly partition: number
      readonly epoch: number
      readonly seq: number
      readonly answer: unknown
    }

export function encodeReply(reply: ReplyBody): Bytes {
  switch (reply.type) {
    case 'ended':
      return encodeRecord([WIRE_VERSION, 'e', reply.id, reply.run, reply.status, reply.value.kind], [reply.value.bytes])
    case 'attached':
      return encodeRecord([WIRE_VERSION, 'b', reply.id, reply.run, reply.actual])
    case 'accepted':
      return encodeRecord([WIRE_VERSION, 'k', reply.id, reply.run])
    case 'refused':
      return encodeRecord([WIRE_VERSION, 'x', reply.id, reply.run, reply.failure])
    case 'answer':
      return encodeRecord([WIRE_VERSION, 'a', reply.correlation, reply.partition, reply.epoch, reply.seq, reply.answer])
  }
}

export function decodeReply(bytes: Bytes): ReplyBody {
  const { header, payload } = decodeRecord(bytes)
  checkVersion(header)
  switch (header[1]) {
    case 'e': {
      const [, , id, run, status, kind] = header as [number, string, string, string, Status, Kind]
      return { type: 'ended', id, run, status, value: { kind, bytes: payload.take(payload.left) } }
    }
    case 'b':
      return { type: 'attached', id: header[2] as string, run: header[3] as string, actual: header[4] as string }
    case 'k':
      return { type: 'accepted', id: header[2] as string, run: header[3] as string }
    case 'x':
      return { type: 'refused', id: header[2] as string, run: header[3] as string, failure: header[4] }
    case 'a':
      return {
        type: 'answer',
        correlation: header[2] as string,
        partition: header[3] as number,
        epoch: header[4] as number,
        seq: header[5] as number,
        answer: header[6],
      }
    default:
      throw new TaskError('TASKS_UNDECODABLE', `a reply has the unknown type ${JSON.stringify(header[1])}`)
  }
}
