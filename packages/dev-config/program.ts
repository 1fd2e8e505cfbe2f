// A program of the workspace as a process of its own, from its sources, for tests that kill it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'

export interface Program {
  /** What it has said so far. */
  readonly said: string
  /** The words by which it was ready. */
  readonly ready: string
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
  /** SIGKILL. */
  kill(): Promise<void>
}

export interface ProgramOptions {
  /** Its file. `tsx` is found from there. */
  readonly main: string
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** What it says when it is ready. */
  readonly ready: RegExp
}

/** Resolves when it is ready. It is killed when the test ends. */
export async function startProgram({ main, args = [], env = {}, ready }: ProgramOptions): Promise<Program> {
  const tsx = pathToFileURL(createRequire(main).resolve('tsx')).href
  const child = spawn(process.execPath, ['--import', tsx, '--conditions=@tasks/source', main, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  let said = ''
  const found = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
      const [match] = ready.exec(said) ?? []
      if (match !== undefined) resolve(match)
    })
    ended.then(() => reject(new Error(`${main} ended: ${said}`)), reject)
  })
  return {
    get said() {
      return said
    },
    ready: found,
    signal: (signal) => void child.kill(signal),
    kill,
  }
}
