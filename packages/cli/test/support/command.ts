// The `tasks` command as a user starts it, in a folder of the test's own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { inject, onTestFinished } from 'vitest'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  /** Resolves when stderr has shown it. */
  readonly says: (text: string) => Promise<void>
  /** The same of stdout. */
  readonly prints: (text: string) => Promise<void>
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Promise<Ended>
}

export interface Place {
  /** The working directory: empty, but for what the test puts there. */
  readonly folder: string
  readonly url: string
  /** Runs a command to its end. */
  readonly run: (...words: readonly string[]) => Promise<Ended>
  readonly start: (...words: readonly string[]) => Started
  /** Starts a worker and waits until it is one. */
  readonly worker: (...words: readonly string[]) => Promise<Started>
  /** The path of one of the modules of test/fixtures. */
  readonly module: (name: string) => string
}

export interface PlaceOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

/** A folder with a store of its own, and commands that use it by the environment. */
export function place({ env = {}, stdin = '' }: PlaceOptions = {}): Place {
  const project = inject('project')
  const folder = mkdtempSync(join(tmpdir(), 'tasks-cli-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const url = `sqlite:${join(folder, 'tasks.db')}`
  const start = (...words: readonly string[]): Started =>
    startProcess(
      process.execPath,
      [join(project, 'node_modules/@tasks/cli/dist/main.js'), ...words],
      folder,
      { TASKS_URL: url, TASKS_NAMESPACE: 'cli', ...env },
      stdin,
    )
  const module = (name: string): string => join(project, name)
  return {
    folder,
    url,
    module,
    start,
    run: (...words) => start(...words).ended,
    async worker(...words) {
      const worker = start('worker', ...(words.length > 0 ? words : [module('tasks.ts')]))
      await worker.says('Ctrl-C ends it')
      return worker
    },
  }
}

export function startProcess(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
  stdin = '',
): Started {
  const child = spawn(command, args, { cwd, env: { ...withoutOurs(process.env), ...env }, stdio: 'pipe' })
  child.stdin.on('error', () => undefined).end(stdin)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, stdout, stderr }))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const shows =
    (stream: Readable, shown: () => string) =>
    (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (shown().includes(text)) resolve()
        }
        stream.on('data', look)
        void ended.then(({ code }) =>
          reject(new Error(`it ended with exit code ${code} and never said "${text}": ${stderr}${stdout}`)),
        )
        look()
      })
  return {
    ended,
    signal: (signal) => void child.kill(signal),
    says: shows(child.stderr, () => stderr),
    prints: shows(child.stdout, () => stdout),
  }
}

/** Neither the settings of whoever runs the suite, nor the loaders and conditions that vitest passes on. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !name.startsWith('TASKS_') && !['NODE_OPTIONS', 'NO_COLOR', 'FORCE_COLOR'].includes(name),
    ),
  )
}

/** What a command that succeeded has printed with `--json`: one document and nothing else. */
export function documentOf({ stdout }: Ended): Record<string, unknown> {
  return JSON.parse(stdout) as Record<string, unknown>
}

/** Asks until the answer is there. */
export async function eventually<Value>(
  what: string,
  ask: () => Value | undefined | Promise<Value | undefined>,
): Promise<Value> {
  const until = performance.now() + 15_000
  for (;;) {
    const value = await ask()
    if (value !== undefined) return value
    if (performance.now() > until) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
