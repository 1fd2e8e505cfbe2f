// Where one round runs: every round has a store of its own, so that none finds what another has left.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'

export interface Place {
  readonly url: string
  /** The folder of the store's files, if it has any. */
  readonly folder?: string
  remove(): void
}

export const schemeOf = (url: string): string => /^[^:]*/.exec(url)![0].toLowerCase()

/**
 * `sqlite:` is a new file in the folder for temporary files, `sqlite:PATH` a new file in a new folder beside PATH, whose disk is thereby
 * chosen; its options are kept. Any other URL is taken as it is: there a new namespace keeps rounds apart.
 */
export function placeOf(url: string): Place {
  if (schemeOf(url) !== 'sqlite') return { url, remove: () => undefined }
  const [path = '', query] = url.slice('sqlite:'.length).split('?', 2)
  const parent = path === '' ? tmpdir() : dirname(resolve(path))
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'tasks-bench-'))
  const file = join(folder, path === '' ? 'tasks.db' : basename(path))
  return {
    url: `sqlite:${file}${query === undefined ? '' : `?${query}`}`,
    folder,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export const fileOf = (url: string): string => url.slice('sqlite:'.length).split('?', 1)[0]!
