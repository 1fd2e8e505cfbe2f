import { fork } from 'node:child_process'

const TIMEOUT_MS = 600_000

/** One round in a process of its own: sends its plan, and resolves with its answer, or with why there is none. */
export function runProgram<Answer>(
  program: string,
  plan: object,
): Promise<Answer | { readonly type: 'failed'; readonly error: string }> {
  return new Promise((resolve) => {
    const child = fork(program, [], {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
      // Its stdout is ours, which is for the report.
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    let answer: Answer | { readonly type: 'failed'; readonly error: string } | undefined
    const timer = setTimeout(() => {
      answer ??= { type: 'failed', error: `it did not end within ${TIMEOUT_MS / 1000} s` }
      child.kill('SIGKILL')
    }, TIMEOUT_MS)
    child.on('message', (message) => (answer = message as Answer))
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      resolve(answer ?? { type: 'failed', error: `its process ended with ${signal ?? code} and said nothing` })
    })
    child.send(plan)
  })
}
