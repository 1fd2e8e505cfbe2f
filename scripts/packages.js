// The packages that are published, and their tarballs.
import { mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './processes.js'

/** @typedef {{ name: string, folder: string, manifest: any }} Package */

/** @returns {Package[]} */
export function published() {
  return readdirSync(join(root, 'packages'))
    .map((name) => join(root, 'packages', name))
    .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ folder, manifest }) => ({ name: manifest.name, folder, manifest }))
}

/**
 * Packs all of them into `folder`, as `pnpm publish` would.
 *
 * @param {readonly Package[]} packages @param {string} folder
 * @returns {Promise<Map<Package, string>>} the tarball of each
 */
export async function packInto(packages, folder) {
  mkdirSync(folder, { recursive: true })
  const only = packages.map(({ name }) => `--filter=${name}`)
  const { code, stdout } = await run('pnpm', ['--recursive', ...only, 'pack', '--pack-destination', folder], {
    capture: 'all',
  })
  if (code !== 0) throw new Error(`pnpm pack ended with exit code ${code}\n${stdout}`)
  return new Map(
    packages.map((pkg) => [pkg, join(folder, `${pkg.name.slice(1).replace('/', '-')}-${pkg.manifest.version}.tgz`)]),
  )
}
