import { TaskError } from '@tasks/core'

/**
 * One JSON value per word.
 * @throws TaskError TASKS_ARGUMENTS naming the word
 */
export function parseArguments(words: readonly string[]): unknown[] {
  return words.map((word, index) => parseJson(`argument ${index + 1}`, word))
}

/** @throws TaskError TASKS_ARGUMENTS */
export function parseJson(what: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    const quoted = /^[\w./:@ -]+$/.test(text) ? `; for a string write '${JSON.stringify(text)}'` : ''
    throw new TaskError('TASKS_ARGUMENTS', `${what} is not JSON: ${text}${quoted}`)
  }
}
