import { decodeRecord, encodeRecord, type Payload } from '../record'
import type { Bytes } from '../transport'

/** A definition as it travels: its pages, or the blob that holds them. */
export interface PackedDefinition {
  readonly hash: string
  /** Task entries in it: what progress counts to. */
  readonly tasks: number
  readonly pages: readonly Bytes[]
  /** The blob's name under the pipeline's prefix, if the pages are not here. */
  readonly blob?: string
  readonly pageCount: number
}

export type DefinitionHeader = [hash: string, tasks: number, lengths: number[], blob: string | 0, pages: number]

export function definitionHeader(definition: PackedDefinition): DefinitionHeader {
  const { hash, tasks, pages, blob, pageCount } = definition
  return [hash, tasks, pages.map((page) => page.length), blob ?? 0, pageCount]
}

export function definitionOf(header: DefinitionHeader, payload: Payload): PackedDefinition {
  const [hash, tasks, lengths, blob, pageCount] = header
  const pages = lengths.map((length) => payload.take(length))
  return blob === 0 ? { hash, tasks, pages, pageCount } : { hash, tasks, pages, blob, pageCount }
}

/** The bytes of a value of kind `pipeline`. */
export function encodeDefinitionValue(definition: PackedDefinition): Bytes {
  return encodeRecord(definitionHeader(definition), definition.pages)
}

export function decodeDefinitionValue(bytes: Bytes): PackedDefinition {
  const { header, payload } = decodeRecord(bytes)
  return definitionOf(header as unknown as DefinitionHeader, payload)
}
