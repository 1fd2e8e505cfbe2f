// What the figures were taken on.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly platform: string
  readonly node: string
  /** How many processes wanted a core in the last minute, before the bench began. */
  readonly load: number
  /** Of the packages measured. */
  readonly versions: Readonly<Record<string, string>>
  /** Absent outside of a clone. A `+` says that files differ from it. */
  readonly commit?: string
}

const PACKAGES = ['core', 'transport-kafka', 'transport-nats', 'transport-redis', 'transport-sqlite']

export function describeThisMachine(): Machine {
  const commit = git('rev-parse', '--short', 'HEAD')
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', ':/packages', ':/apps/bench')
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
    node: process.versions.node,
    load: loadavg()[0]!,
    versions: Object.fromEntries(PACKAGES.map((name) => [`@tasks/${name}`, versionOf(name)])),
    ...(commit === undefined ? {} : { commit: commit + (changed ? '+' : '') }),
  }
}

function versionOf(name: string): string {
  const manifest = new URL(`../../../packages/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: new URL('.', import.meta.url), encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}
