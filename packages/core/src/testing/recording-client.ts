// A client for tests of code that submits: it notes what it was asked for and sends nothing.
import type { PipelineStatus } from '../engine/queries'
import type { EnqueueOptions, SubmitOptions } from '../client/options'
import type { PipelineHandle, TaskHandle } from '../client/handle'
import { TaskError } from '../errors'
import { isPipeline, type Submittable, type Task } from '../pipeline'

export interface RecordedSubmit {
  readonly id: string
  readonly pipeline: Submittable<unknown, never>
  readonly options: SubmitOptions
}

export interface RecordedEnqueue {
  readonly id: string
  readonly entry: Submittable<unknown, never>
  readonly options: EnqueueOptions
}

/** The part of a client that sends. */
export interface RecordingClient {
  readonly submitted: readonly RecordedSubmit[]
  readonly enqueued: readonly RecordedEnqueue[]
  submit(
    work: Task<never, unknown> | Submittable<unknown, never>,
    second?: unknown,
    third?: SubmitOptions,
  ): Promise<PipelineHandle<never>>
  enqueue(
    work: Task<never, unknown> | Submittable<unknown, never>,
    second?: unknown,
    third?: EnqueueOptions,
  ): Promise<TaskHandle<never>>
  enqueueMany(
    task: Task<never, unknown>,
    inputs: readonly unknown[],
    options?: EnqueueOptions,
  ): Promise<readonly string[]>
}

/**
 * Takes what a client takes and keeps it. Results come from `results`, by pipeline id.
 * @param options.results what `result()` of a handle resolves to; without one it rejects with TASKS_UNSUPPORTED
 */
export function recordingClient(
  options: { readonly results?: Readonly<Record<string, unknown>> } = {},
): RecordingClient {
  const submitted: RecordedSubmit[] = []
  const enqueued: RecordedEnqueue[] = []
  const pipelineOf = (
    work: Task<never, unknown> | Submittable<unknown, never>,
    input: unknown,
  ): Submittable<unknown, never> =>
    isPipeline(work) ? work : (work as unknown as Task<[unknown], unknown>).send(input)
  const result = (id: string): Promise<never> =>
    options.results !== undefined && id in options.results
      ? Promise.resolve(options.results[id] as never)
      : Promise.reject(
          new TaskError(
            'TASKS_UNSUPPORTED',
            `a recording client has no result for "${id}": give it one in { results }`,
          ),
        )
  const unsupported = (): Promise<never> =>
    Promise.reject(new TaskError('TASKS_UNSUPPORTED', 'a recording client runs nothing'))
  return {
    submitted,
    enqueued,
    async submit(work, second, third) {
      const given = (isPipeline(work) ? second : third) as SubmitOptions | undefined
      const id = given?.id ?? `recorded-${submitted.length + 1}`
      submitted.push({ id, pipeline: pipelineOf(work, second), options: given ?? {} })
      const pending = async (): Promise<PipelineStatus> => ({
        id,
        run: id,
        name: '',
        status: 'PENDING',
        tasks: 0,
        done: 0,
        attempts: 0,
      })
      return {
        id,
        result: () => result(id),
        status: pending,
        describe: pending,
        progress: async () => ({ done: 0, total: 0 }),
        pause: unsupported,
        resume: unsupported,
        cancel: unsupported,
        retry: unsupported,
      }
    },
    async enqueue(work, second, third) {
      const given = (isPipeline(work) ? second : third) as EnqueueOptions | undefined
      const id = given?.id ?? `recorded-${enqueued.length + 1}`
      enqueued.push({ id, entry: pipelineOf(work, second), options: given ?? {} })
      return { id, result: () => result(id) }
    },
    async enqueueMany(task, inputs, given) {
      return inputs.map((input) => {
        const id = `recorded-${enqueued.length + 1}`
        enqueued.push({ id, entry: pipelineOf(task, input), options: given ?? {} })
        return id
      })
    },
  }
}
