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

/** Where the demo of a test puts its file. Gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-stocks-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function runDemo(words: readonly string[], folder = temporaryFolder()): Promise<Ended> {
  return runSource(join(app, 'src/demo.ts'), words, folder)
}

/** `npm run tasks -- …`, without npm: from the root, as the demo prints it. */
export function runTasks(words: readonly string[]): Promise<Ended> {
  return runSource(join(root, 'packages/cli/src/main.ts'), words)
}

function runSource(file: string, words: readonly string[], folder?: string): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@tasks/source', file, ...words], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', TASKS_URL: '', ...(folder === undefined ? {} : { TMPDIR: folder }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}
