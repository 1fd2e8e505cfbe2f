// What becomes of an input that no step can take. A message's bytes are kept as a dead letter in the very commit that passes it, and whoever waits for it is told. What an owner
// says to itself has no bytes: what it was for fails; and so does what was offered an event.
import { TaskError } from '../errors'
import type { Logger } from '../logger'
import { failureValue } from '../value'
import { encodeInbox, entriesNamedBy, type Verdict } from '../wire/inbox-message'
import type { Arrivals } from './arrivals'
import type { Draft } from './draft'
import type { Poison } from './fold'
import type { Input } from './input'

/** Of the failures that this file makes. */
const CONDEMNED: Verdict = { retryable: false }
const ALONE = { weight: 1, bytes: 0 }

interface Owned {
  readonly partition: number
  readonly arrivals: Arrivals
  readonly logger: Logger
}

const failureOf = (error: unknown): Parameters<typeof failureValue>[0] => ({
  code: TaskError.is(error) ? error.code : 'TASKS_UNDECODABLE',
  name: 'TaskError',
  message: error instanceof Error ? error.message : String(error),
})

/** What is folded in place of an input that no step can take, in the commit that passes its message. Whoever was offered an event hears of it by no other. */
export function insteadOf(input: Input, error: unknown): Input | undefined {
  return input.type === 'offer' ? { type: 'refused', input, failure: failureValue(failureOf(error)) } : undefined
}

/** Into the draft goes what the outside is told; what is to be done about it arrives next, since this draft must hold nothing of the poisoned input. */
export function condemn(draft: Draft, { arrived: { input, message }, error }: Poison, owned: Owned): void {
  const { partition, arrivals, logger } = owned
  const failure = failureOf(error)
  const { code, message: text } = failure
  // A submit of this process has not been a message yet.
  const isOwn = input.type === 'outcomes' || (input.type === 'submit' && message === undefined)
  const body = isOwn ? encodeInbox(input) : input.type === 'refused' ? undefined : message?.body
  if (body === undefined) return refuse(input, failure, error, owned)
  logger.error({ partition, message: message?.id, error }, `what has arrived became a dead letter: ${input.type}`)
  const reason = code === 'TASKS_TOO_LARGE' ? 'too-large' : 'undecodable'
  draft.send({ to: 'dead', letter: { reason, message: text, source: `inbox/${partition}` } }, body)
  if (input.type === 'submit' && input.options.replyTo !== undefined)
    draft.reply(input.options.replyTo, { type: 'refused', id: input.id, run: input.run, failure })
  if (input.type === 'command')
    draft.answers.push({ replyTo: input.replyTo, correlation: input.correlation, answer: { refused: failure } })
  // It has been tried: nothing can be said of that entry.
  if (input.type === 'outcomes' && input.outcomes[0]!.verdict === CONDEMNED)
    return arrivals.addOwn({ input: { type: 'abandoned', input, failure: failureValue(failure) }, ...ALONE })
  for (const entry of entriesNamedBy(body)) {
    const value = failureValue({
      code: 'TASKS_DEAD_LETTERED',
      name: 'TaskError',
      message: `the result of ${entry.id}${entry.path} could not be read: ${text}`,
    })
    arrivals.addOutcome({ ...entry, value, verdict: CONDEMNED })
  }
}

/** Said to itself. */
function refuse(
  input: Input,
  failure: Parameters<typeof failureValue>[0],
  error: unknown,
  { partition, arrivals, logger }: Owned,
): void {
  logger.error({ partition, input: input.type, error }, 'an internal step failed')
  if (input.type === 'abandoned') return
  const next: Input =
    input.type === 'refused'
      ? { type: 'abandoned', input: input.input, failure: input.failure }
      : { type: 'refused', input, failure: failureValue(failure) }
  arrivals.addOwn({ input: next, ...ALONE })
}
