import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))

/** The version of this package: its manifest lies above `src` as above `dist`. */
export function ownVersion(): string {
  return (JSON.parse(readFileSync(join(here, '../package.json'), 'utf8')) as { readonly version: string }).version
}

/** The version of an installed package, looked for from these folders. */
export function versionOf(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    try {
      return (createRequire(join(folder, 'noop.js'))(`${name}/package.json`) as { readonly version: string }).version
    } catch {
      continue
    }
  }
  return undefined
}

export function versions(): Record<string, string> {
  return {
    node: process.versions.node,
    '@tasks/cli': ownVersion(),
    '@tasks/core': versionOf('@tasks/core', [here]) ?? 'unknown',
  }
}
