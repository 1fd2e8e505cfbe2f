// The demo as a user starts it: a process, from the sources.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const app = fileURLToPath(new URL('../..', import.meta.url))
const root = fileURLToPath(new URL('../../../..', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly ended: Promise<Ended>
  /** Resolves when it has been said, on stdout or stderr. */
  says(pattern: RegExp): Promise<RegExpExecArray>
  /** SIGINT, to this process alone. */
  interrupt(): void
}

/** Where the demo of a test puts its file. Gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-stocks-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function runDemo(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return startDemo(words, env).ended
}

export function startDemo(words: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  return startSource(join(app, 'src/demo.ts'), words, { TMPDIR: temporaryFolder(), ...env })
}

/** `npm run tasks -- …`, without npm: from the root, as the demo prints it. */
export function runTasks(words: readonly string[]): Promise<Ended> {
  return startSource(join(root, 'packages/cli/src/main.ts'), words, {}).ended
}

function startSource(file: string, words: readonly string[], env: Readonly<Record<string, string>>): Started {
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@tasks/source', file, ...words], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', TASKS_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  const says = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(stdout + stderr)
        if (found !== null) resolve(found)
      }
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      void ended.then(() => reject(new Error(`it ended and never said ${pattern.source}: ${stderr}${stdout}`)))
    })
  return { ended, says, interrupt: () => void child.kill('SIGINT') }
}
