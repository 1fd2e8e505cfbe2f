// Many lone tasks: some hundred at a time, the next made ready while the last are on their way, and what is told if not all of them could be sent.
import { TaskError } from '../errors'

const MOST_AT_ONCE = 500
const PARTS_ON_THEIR_WAY = 2

type Outcomes = readonly (string | Error)[]

/**
 * @param send makes some ready, and resolves when they leave: `outcomes` gives an id or an error for each
 * @returns the ids, in the order of the inputs
 * @throws what `send` did, if nothing was sent; else a TaskError with its code, whose `details.ids` has an id or null for each input that was tried
 */
export async function inParts<Input>(
  inputs: readonly Input[],
  send: (some: readonly Input[]) => Promise<{ readonly outcomes: Promise<Outcomes> }>,
): Promise<readonly string[]> {
  const ids: string[] = []
  const tried: (string | Error)[] = []
  const onTheirWay: Promise<Outcomes>[] = []
  const arrive = async (): Promise<void> => {
    for (const outcome of await onTheirWay.shift()!) {
      tried.push(outcome)
      if (typeof outcome === 'string') ids.push(outcome)
    }
  }
  for (let from = 0; from < inputs.length && ids.length === tried.length; from += MOST_AT_ONCE) {
    const some = inputs.slice(from, from + MOST_AT_ONCE)
    const failed = (error: unknown): Outcomes => some.map(() => error as Error)
    const { outcomes } = await send(some).catch((error: unknown) => ({ outcomes: Promise.resolve(failed(error)) }))
    onTheirWay.push(outcomes.catch(failed))
    if (onTheirWay.length === PARTS_ON_THEIR_WAY) await arrive()
  }
  while (onTheirWay.length > 0) await arrive()
  if (ids.length < tried.length) throw partlySent(tried, inputs.length)
  return ids
}

function partlySent(tried: Outcomes, count: number): Error {
  const cause = tried.find((outcome): outcome is Error => typeof outcome !== 'string')!
  const ids = tried.map((outcome) => (typeof outcome === 'string' ? outcome : null))
  const sent = ids.filter((id) => id !== null).length
  if (sent === 0) return cause
  const code = TaskError.is(cause) ? cause.code : 'TASKS_UNAVAILABLE'
  return new TaskError(code, `${cause.message}; ${sent} of ${count} tasks have been sent`, { cause, details: { ids } })
}
