// Starting other programs from the scripts of this folder.
import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Runs a program to its end, with the workspace's tools first on the PATH. Its output goes where ours goes, or, with
 * `chatter`, all of it to stderr; with `capture` its stdout is returned instead, with `capture: 'all'` its stderr among it.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, chatter?: boolean, capture?: boolean | 'all', timeoutMs?: number }} [options]
 * @returns {Promise<{ code: number, stdout: string, timedOut: boolean }>}
 */
export function run(command, args, options = {}) {
  const { cwd = root, env = {}, chatter = false, capture = false, timeoutMs } = options
  const child = spawn(command, args, {
    cwd,
    env: environment(env),
    stdio: ['inherit', capture ? 'pipe' : chatter ? 2 : 'inherit', capture === 'all' ? 'pipe' : 'inherit'],
    shell: process.platform === 'win32',
  })
  let stdout = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (stdout += text))
  // The terminal signals the whole group: we wait for the child to end in its own way.
  const ignore = () => {}
  const forward = () => child.kill('SIGTERM')
  process.on('SIGINT', ignore).on('SIGTERM', forward)
  let timedOut = false
  const timer =
    timeoutMs &&
    setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, timeoutMs)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer || undefined)
      process.off('SIGINT', ignore).off('SIGTERM', forward)
      resolve({ code: code ?? 1, stdout, timedOut })
    })
  })
}

/**
 * @param {Record<string, string | undefined>} extra
 * @returns {Record<string, string | undefined>}
 */
function environment(extra) {
  /** @type {Record<string, string | undefined>} */
  const env = { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', ...process.env, ...extra }
  // Ours is silent for the sake of `npm run demo -- --json`; the tools below should not be.
  delete env['npm_config_loglevel']
  env['PATH'] = [join(root, 'node_modules', '.bin'), env['PATH']].join(delimiter)
  return env
}

/** @param {number} since as of `performance.now()` */
export function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}
