// SQLite goes on with a file that was removed or replaced, and whoever opens the path afterwards has another one: what the two
// answer is lost to each other, or damages both.
import { statSync } from 'node:fs'

/** Answers whether the path leads to another file than now, or to none. */
export function watchIdentity(path: string): () => boolean {
  const opened = identify(path)
  return () => {
    const found = identify(path)
    return found !== undefined && found !== opened
  }
}

/** Undefined if the file system does not say. */
function identify(path: string): string | undefined {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false })
    return found ? `${found.dev} ${found.ino}` : 'nothing'
  } catch {
    return undefined
  }
}
