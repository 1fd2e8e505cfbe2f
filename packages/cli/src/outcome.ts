// Waiting for the end of a run, and telling it: what `submit --wait` and `result` share.
import { TaskError, type PipelineHandle, type PipelineStatus } from '@tasks/core'
import { exitCodes } from './exit-codes'
import { interruptible } from './interruption'
import { printable, printableError } from './printable'
import { showDuration } from './duration'
import type { Terminal } from './terminal'

const REFRESH_MS = 150
const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'

export interface OutcomeOptions {
  readonly timeoutMs: number | undefined
  /** Why there is nothing to wait for, once that is known. */
  readonly refusal?: Promise<Error | undefined>
}

/** Waits, shows how far the run is to whoever watches, and answers with its outcome. */
export async function answerOutcome(
  terminal: Terminal,
  run: PipelineHandle<unknown>,
  { timeoutMs, refusal }: OutcomeOptions,
): Promise<void> {
  const { id } = run
  let result: unknown
  try {
    result = await interruptible((signal) =>
      watched(terminal, run, () =>
        Promise.race([
          run.result({ signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
          new Promise<never>((_, reject) => void refusal?.then((error) => error && reject(error))),
        ]),
      ),
    )
  } catch (error) {
    const status = await endOf(run, error)
    const shown = printableError(error)
    terminal.exitCode = exitCodes.failed
    terminal.answer({ id, status, error: shown }, '')
    if (!terminal.json) tellFailure(terminal, id, status, error)
    return
  }
  terminal.answer(
    { id, status: 'COMPLETED', result: printable(result) },
    JSON.stringify(printable(result), undefined, 2),
  )
}

/** How the run ended, if that is what the error tells; else the error is thrown on: it is one of ours. */
async function endOf(run: PipelineHandle<unknown>, error: unknown): Promise<'FAILED' | 'CANCELLED'> {
  if (!TaskError.is(error)) throw error
  if (error.task !== undefined || error.code === 'TASKS_GROUP_FAILED') return 'FAILED'
  if (error.code === 'TASKS_CANCELLED') return 'CANCELLED'
  if (error.code === 'TASKS_RESULT_TIMEOUT' || error.code === 'TASKS_ID_CONFLICT' || error.code === 'TASKS_NOT_FOUND')
    throw error
  const status = await run.status().catch(() => undefined)
  if (status?.status === 'FAILED') return 'FAILED'
  throw error
}

function tellFailure(terminal: Terminal, id: string, status: string, error: unknown): void {
  const { code, message, task, stack, errors, errorCount } = printableError(error)
  const where = task as { readonly name: string; readonly id: string; readonly attempt: number } | undefined
  terminal.note(`${status}  ${id}`, 'red')
  if (where !== undefined) terminal.note(`task ${where.name} (${where.id}), attempt ${where.attempt}`)
  terminal.note(`${code ?? 'error'}: ${message}`)
  if (stack !== undefined) terminal.note(stack, 'dim')
  for (const inner of errors ?? [])
    terminal.note(`- ${(inner.task as { readonly id: string } | undefined)?.id ?? ''} ${inner.message}`)
  if (errorCount !== undefined && errorCount > (errors?.length ?? 0)) terminal.note(`… ${errorCount} in all`)
}

async function watched<Result>(
  terminal: Terminal,
  run: PipelineHandle<unknown>,
  wait: () => Promise<Result>,
): Promise<Result> {
  if (!terminal.isLive) return wait()
  const since = performance.now()
  let frame = 0
  let asking = false
  const timer = setInterval(() => {
    if (asking) return
    asking = true
    run.status().then(
      (status) => {
        asking = false
        terminal.live(
          `${FRAMES[frame++ % FRAMES.length]} ${describe(status)}  ${showDuration(performance.now() - since)}`,
        )
      },
      () => (asking = false),
    )
  }, REFRESH_MS)
  try {
    return await wait()
  } finally {
    clearInterval(timer)
    terminal.settle()
  }
}

function describe({ status, done, tasks }: PipelineStatus): string {
  return status === 'PENDING' ? 'PENDING: no worker has taken it yet' : `${status}  ${done} of ${tasks} tasks`
}
