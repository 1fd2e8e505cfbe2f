// Whether an id exists is known for sure only when the owners have read what was sent before: a submit waits in an
// inbox until one does.
import { TaskError, type Client, type PipelineStatus } from '@tasks/core'

/**
 * @throws TaskError TASKS_NOT_FOUND if there is no such pipeline; TASKS_UNAVAILABLE if nobody is up who could know
 */
export async function lookUp(client: Client, id: string): Promise<PipelineStatus> {
  const first = await client.status(id)
  if (first !== undefined) return first
  // Their answers come after everything that was sent before the question.
  const { partitions, answering } = await client.owners()
  if (answering === partitions) return client.attach(id).status()
  const second = await client.status(id)
  if (second !== undefined) return second
  throw new TaskError(
    'TASKS_UNAVAILABLE',
    `no owner has taken a pipeline "${id}", and ${answering} of ${partitions} answer: if it was submitted, it starts when a worker is up`,
  )
}
