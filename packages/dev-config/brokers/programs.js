// Where a server's program comes from.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'

/** That no broker can be had on this machine, and why. */
export class NoBroker extends Error {}

/**
 * The path of a program. Where it is lacking and this is Debian's root, its package is installed first.
 *
 * @param {string} program @param {string} [debian] its package, if that has another name @returns {string | undefined}
 */
export function onPath(program, debian = program) {
  const found = find(program)
  if (found !== undefined || isAbsolute(program) || process.getuid?.() !== 0 || find('apt-get') === undefined)
    return found
  console.error(`broker: installing ${debian} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const install = () => spawnSync('apt-get', ['install', '-qq', '-y', debian], { env, stdio: ['ignore', 2, 2] })
  // An image without package lists needs them first.
  if (install().status !== 0) {
    spawnSync('apt-get', ['update', '-qq'], { env, stdio: ['ignore', 2, 2] })
    install()
  }
  return find(program)
}

/** @param {string} program */
function find(program) {
  const candidates = isAbsolute(program)
    ? [program]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, program))
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/**
 * The same program in a container of this machine's docker, in the foreground and on the host's network, so that it is used in the same way.
 *
 * @param {string} image @param {readonly string[]} command
 */
export function inContainer(image, command) {
  const docker = find('docker')
  const running = docker !== undefined && spawnSync(docker, ['info'], { stdio: 'ignore' }).status === 0
  if (docker === undefined || !running) throw new NoBroker(`no ${command[0]} on this machine, and no docker that runs`)
  const name = `tasks-${command[0]}-${process.pid}-${Date.now().toString(36)}`
  return {
    container: { docker, name },
    folder: '/data',
    /** @param {string} folder */
    args: (folder) => [
      'run',
      '--rm',
      '--name',
      name,
      '--network',
      'host',
      '--volume',
      `${folder}:/data`,
      image,
      ...command,
    ],
  }
}
