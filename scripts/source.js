// Runs a program of the workspace from its TypeScript sources: nothing needs building first.
import { join } from 'node:path'
import { root, run } from './processes.js'

/**
 * @param {string} file from the root
 * @param {readonly string[]} args
 */
export function runSource(file, args) {
  return run(process.execPath, [...fromSource, join(root, file), ...args])
}

/** For Node: read .ts files, and the `src` of every package of the workspace. */
export const fromSource = ['--import', import.meta.resolve('tsx'), '--conditions=@tasks/source']
