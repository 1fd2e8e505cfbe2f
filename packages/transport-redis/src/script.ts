// Lua scripts: named, and known to the server by the hash of their source.
import { createHash } from 'node:crypto'

export interface Script {
  readonly name: string
  readonly source: string
  readonly sha: string
  /** Whether it may be sent again when nobody knows whether it has run: a second run changes nothing, and answers the same; one that arrives late harms nothing. */
  readonly repeatable: boolean
}

/** The name is the first line of the source, so that the server's slow log shows it. */
export function script(name: string, source: string, options: { readonly repeatable: boolean }): Script {
  const text = `-- tasks: ${name}\n${source.trim()}\n`
  return { name, source: text, sha: createHash('sha1').update(text).digest('hex'), ...options }
}

/** Marks Lua for editors. */
export const lua = String.raw
