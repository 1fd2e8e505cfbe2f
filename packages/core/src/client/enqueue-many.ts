// Many lone tasks: some hundred at a time, and what is told if not all of them could be sent.
import { TaskError } from '../errors'

const MOST_AT_ONCE = 500

/**
 * @param send gives an id or an error for each
 * @returns the ids, in the order of the inputs
 * @throws what `send` did, if nothing was sent; else a TaskError with its code, whose `details.ids` has an id or null for each input that was tried
 */
export async function inParts<Input>(
  inputs: readonly Input[],
  send: (some: readonly Input[]) => Promise<readonly (string | Error)[]>,
): Promise<readonly string[]> {
  const ids: string[] = []
  for (let from = 0; from < inputs.length; from += MOST_AT_ONCE) {
    const some = inputs.slice(from, from + MOST_AT_ONCE)
    const outcomes: readonly (string | Error)[] = await send(some).catch((error: unknown) =>
      some.map(() => error as Error),
    )
    const failure = outcomes.find((outcome) => typeof outcome !== 'string')
    if (failure !== undefined) throw partlySent(failure, [...ids, ...outcomes], inputs.length)
    ids.push(...(outcomes as readonly string[]))
  }
  return ids
}

function partlySent(cause: Error, outcomes: readonly (string | Error)[], count: number): Error {
  const ids = outcomes.map((outcome) => (typeof outcome === 'string' ? outcome : null))
  const sent = ids.filter((id) => id !== null).length
  if (sent === 0) return cause
  const code = TaskError.is(cause) ? cause.code : 'TASKS_UNAVAILABLE'
  return new TaskError(code, `${cause.message}; ${sent} of ${count} tasks have been sent`, { cause, details: { ids } })
}
