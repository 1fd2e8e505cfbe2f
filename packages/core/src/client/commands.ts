// What is done to a pipeline from outside. The owner answers when the command is part of the pipeline's state; a command that is sent again has the
// same id, and takes effect once.
import type { Clock } from '../clock'
import type { CommandAnswer } from '../engine/control'
import { TaskError } from '../errors'
import { fromFailure } from '../failure'
import { checkId, partitionOf } from '../ids'
import type { Space } from '../transport'
import type { Command } from '../wire/inbox-message'
import type { Status } from '../wire/reply'
import type { Replies } from './replies'

const TRIES = 3

export interface CancelOptions {
  /** How long tasks that run are waited for, in ms, before the pipeline's finally runs. Default 30 000. */
  readonly graceMs?: number
}

export interface CommandsOptions {
  readonly space: Space
  readonly replies: Replies
  readonly clock: Clock
  readonly answerMs: number
}

/** Where the pipeline stands after the command, and its run. */
export interface Obeyed {
  readonly status: Status
  readonly run: string
}

/**
 * Gives a command to the owner of a pipeline and waits for its answer.
 * @throws TaskError TASKS_STATUS if it is not one for the status that the pipeline has, TASKS_NOT_FOUND, TASKS_UNAVAILABLE if no owner answers:
 *   then it may take effect later
 */
export async function giveCommand(
  { space, replies, clock, answerMs }: CommandsOptions,
  command: Command,
  id: string,
  options: CancelOptions = {},
): Promise<Obeyed> {
  checkId('pipeline id', id)
  const { graceMs } = options
  if (graceMs !== undefined && !(Number.isFinite(graceMs) && graceMs >= 0))
    throw new TaskError('TASKS_OPTIONS', `cancel: graceMs must be a number of at least 0, not ${String(graceMs)}`)
  const partition = partitionOf(id, space.partitions)
  const commandId = clock.uid()
  for (let tries = 1; ; tries++) {
    try {
      const answer = (await replies.askWith(
        partition,
        (replyTo, correlation) => ({
          type: 'command',
          command,
          id,
          commandId,
          replyTo,
          correlation,
          // 0 means the default on the wire.
          ...(graceMs === undefined ? {} : { graceMs: Math.max(1, graceMs) }),
        }),
        answerMs,
      )) as CommandAnswer
      if ('refused' in answer) throw fromFailure(answer.refused)
      return answer
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE' || tries === TRIES) throw error
    }
  }
}
