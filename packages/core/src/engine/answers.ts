// Questions about pipelines, answered from committed rows: by owners, and by clients that can read them.
import { TaskError } from '../errors'
import { fromFailure, toFailure, type Failure } from '../failure'
import type { Look } from '../wire/inbox-message'
import { describePipeline } from './describe'
import { listPipelines } from './listing'
import { pipelineStatus } from './queries'
import type { RowSource } from './row-source'

/**
 * @param mostBytes about how long the answer may be
 * @throws TaskError TASKS_NOT_FOUND, TASKS_ID_CONFLICT, TASKS_UNAVAILABLE
 */
export function answerTo(source: RowSource, question: Look, mostBytes: number): Promise<unknown> {
  switch (question.ask) {
    case 'status':
      return pipelineStatus(source, question)
    case 'describe':
      return describePipeline(source, question, mostBytes)
    case 'list':
      return listPipelines(source, question, mostBytes)
  }
}

interface Refused {
  readonly refused: Failure
}

const OF_QUESTIONS: readonly string[] = ['TASKS_NOT_FOUND', 'TASKS_ID_CONFLICT', 'TASKS_UNAVAILABLE']

/** What an owner says instead of an answer, if it has to do with the question and not with the owner. */
export function refusalOf(error: unknown): Refused | undefined {
  return TaskError.is(error) && OF_QUESTIONS.includes(error.code) ? { refused: toFailure(error) } : undefined
}

/** The answer that an owner gave. Throws what it refused it with. */
export function openAnswer(answer: unknown): unknown {
  if (typeof answer === 'object' && answer !== null && 'refused' in answer)
    throw fromFailure((answer as Refused).refused)
  return answer
}
