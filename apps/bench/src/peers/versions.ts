import { readFileSync } from 'node:fs'

/** Of the peers, as installed. */
export function peerVersions(): Readonly<Record<string, string>> {
  return Object.fromEntries(['bullmq', 'bee-queue', 'ioredis'].map((name) => [name, versionOf(name)]))
}

function versionOf(name: string): string {
  const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}
