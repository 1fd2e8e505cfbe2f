// nats-server with JetStream: the machine's, else installed from the distribution's package; another version is built from its Go module, once; else in a container.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { inContainer, NoBroker, onPath } from './programs.js'
import { ask, freePort, startServer } from './server.js'

const MODULE = 'github.com/nats-io/nats-server/v2'
const BUILD_MS = 300_000

/**
 * @typedef {object} NatsOptions
 * @property {string} [version]    2.12.1: built with Go. Default: whatever nats-server there is, `TASKS_NATS_SERVER` if that is set
 * @property {string} [settings]   what else stands in its configuration
 * @property {string} [jetstream]  what else stands in the configuration of JetStream: `sync_interval: always`
 */

/** @param {NatsOptions} [options] @returns {Promise<import('./server.js').Server>} */
export async function startNats(options = {}) {
  const { version, settings = '', jetstream = '' } = options
  const path = version === undefined ? onPath(process.env['TASKS_NATS_SERVER'] ?? 'nats-server') : builtServer(version)
  const boxed = path === undefined ? inContainer(`nats:${version ?? '2'}-alpine`, ['nats-server']) : undefined
  return startServer({
    name: 'nats',
    command: path ?? /** @type {string} */ (boxed?.container.docker),
    ...(boxed && { container: boxed.container }),
    args({ folder, port }) {
      const inside = boxed?.folder ?? folder
      const lines = [
        `listen: "127.0.0.1:${port}"`,
        `jetstream { store_dir: "${join(inside, 'data')}", max_memory_store: 256MB, max_file_store: 20GB, ${jetstream} }`,
        settings,
      ]
      writeFileSync(join(folder, 'server.conf'), lines.join('\n'))
      return [...(boxed?.args(folder) ?? []), '--config', join(inside, 'server.conf')]
    },
    async ready({ port }) {
      // The first thing that it says. While JetStream recovers what is on the disk it does not listen.
      const [, info = '{}'] = /^INFO (\{.*\})/.exec(await ask(port, '')) ?? []
      const { version: found, jetstream: isReady } = JSON.parse(info)
      if (isReady !== true) throw new Error('JetStream is not ready')
      return found
    },
    url: (port) => `nats://127.0.0.1:${port}`,
  })
}

/**
 * Three servers that keep copies for each other. `stop` of each stops that one.
 *
 * @param {Pick<NatsOptions, 'version'>} [options] @returns {Promise<readonly import('./server.js').Server[]>}
 */
export async function startNatsCluster(options = {}) {
  const ports = [await freePort(), await freePort(), await freePort()]
  const routes = ports.map((port) => `"nats-route://127.0.0.1:${port}"`).join(', ')
  return Promise.all(
    ports.map((port, i) =>
      startNats({
        ...options,
        settings: `server_name: "server-${i}"\ncluster { name: "tasks", listen: "127.0.0.1:${port}", routes: [${routes}] }`,
      }),
    ),
  )
}

/**
 * A server of this version, from the cache of this user, or built into it.
 *
 * @param {string} version @returns {string | undefined} undefined: there is no Go here
 */
function builtServer(version) {
  const cache = process.env['TASKS_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tasks')
  const folder = join(cache, `nats-server-${version}`)
  const program = join(folder, 'nats-server')
  if (existsSync(program)) return program
  const go = onPath('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined) return undefined
  console.error(`broker: building nats-server ${version} …`)
  // Elsewhere first: two that build at once get in nobody's way.
  const own = `${folder}.${process.pid}`
  mkdirSync(own, { recursive: true })
  const env = { ...process.env, GOBIN: own }
  const { status } = spawnSync(go, ['install', `${MODULE}@v${version}`], {
    env,
    stdio: ['ignore', 2, 2],
    timeout: BUILD_MS,
  })
  if (status !== 0) throw new NoBroker(`nats-server ${version} cannot be built here`)
  if (!existsSync(folder)) renameSync(own, folder)
  return program
}
