// Reads pages of a definition, whoever wrote them: nothing that is not known gets past it.
import { MAX_DEFINITION_BYTES, type Chain, type Definition } from './definition'
import { documentFlaw, pageFlaw, type Flaw } from './definition-flaws'
import { TaskError } from './errors'
import { asBuffer } from './record'

/**
 * Reads page 0 of a definition and checks it.
 * @throws TaskError TASKS_DEFINITION_INVALID with the JSON path of what is wrong; TASKS_DEFINITION_TOO_LARGE
 */
export function parseDefinition(page0: Uint8Array): Definition {
  const document = parseJson(page0, 'a definition')
  const flaw = documentFlaw(document)
  if (flaw !== undefined) throw invalid(flaw)
  return document as Definition
}

/**
 * Reads a further page: chains of a group.
 * @param number the page's number, if it is to be checked that it names lower pages only
 * @throws TaskError TASKS_DEFINITION_INVALID, TASKS_DEFINITION_TOO_LARGE
 */
export function parsePage(bytes: Uint8Array, definition: Definition, number = Infinity): readonly Chain[] {
  const chains = parseJson(bytes, 'a page of a definition')
  const flaw = pageFlaw(chains, definition.steps, number)
  if (flaw !== undefined) throw invalid(flaw)
  return chains as readonly Chain[]
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  if (bytes.length > MAX_DEFINITION_BYTES) {
    throw new TaskError(
      'TASKS_DEFINITION_TOO_LARGE',
      `${what} takes ${bytes.length} bytes; at most ${MAX_DEFINITION_BYTES} are allowed`,
    )
  }
  try {
    return JSON.parse(asBuffer(bytes).toString())
  } catch (cause) {
    throw new TaskError('TASKS_DEFINITION_INVALID', `${what} is not JSON (${bytes.length} bytes)`, { cause })
  }
}

function invalid({ path, why }: Flaw): TaskError {
  return new TaskError('TASKS_DEFINITION_INVALID', `the definition is invalid at $${path}: ${why}`, {
    details: { path: `$${path}` },
  })
}
