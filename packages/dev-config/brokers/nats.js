// nats-server with JetStream: the machine's, else installed from the distribution's package; another version is built from its Go module, once; else in a container.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inContainer, NoBroker, onPath } from './programs.js'
import { ask, freePort, startServer } from './server.js'

const MODULE = 'github.com/nats-io/nats-server/v2'
const BUILD_MS = 300_000

/** Three servers have met within 3 s, else never: seen to last two minutes. */
const MEET_MS = 10_000
const CLUSTER_ATTEMPTS = 3

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
  for (let attempt = 1; ; attempt++) {
    const monitors = [await freePort(), await freePort(), await freePort()]
    const ports = [await freePort(), await freePort(), await freePort()]
    const routes = ports.map((port) => `"nats-route://127.0.0.1:${port}"`).join(', ')
    const starts = await Promise.allSettled(
      ports.map((port, i) =>
        startNats({
          ...options,
          settings: [
            `server_name: "server-${i}"`,
            `http: "127.0.0.1:${monitors[i]}"`,
            `cluster { name: "tasks", listen: "127.0.0.1:${port}", routes: [${routes}] }`,
          ].join('\n'),
        }),
      ),
    )
    const servers = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
    const failed = starts.find((start) => start.status === 'rejected')
    // Now and then three that start at once choose a leader that never hears of one of them (2.10.27: one cluster in thirty), and nothing is kept in three copies.
    if (failed === undefined && (await haveMet(monitors))) return servers
    await Promise.all(servers.map((server) => server.stop()))
    if (failed !== undefined) throw failed.reason
    if (attempt === CLUSTER_ATTEMPTS) throw new Error(`nats: of ${attempt} clusters of three none came together`)
    console.error('broker: the leader of a NATS cluster does not know of all its servers: another one is started')
  }
}

/**
 * @param {readonly number[]} monitors   where each server tells of itself
 * @returns {Promise<boolean>}           whether the leader that they have chosen counts all of them
 */
async function haveMet(monitors) {
  const until = performance.now() + MEET_MS
  while (performance.now() < until) {
    // Only the leader lists the others.
    const lists = await Promise.all(monitors.map((port) => othersOf(port).catch(() => [])))
    if (lists.some((others) => others.filter(({ current }) => current).length === monitors.length - 1)) return true
    await sleep(100)
  }
  return false
}

/** @param {number} monitor @returns {Promise<readonly { readonly current: boolean }[]>} */
async function othersOf(monitor) {
  const response = await fetch(`http://127.0.0.1:${monitor}/jsz`, { signal: AbortSignal.timeout(MEET_MS) })
  const { meta_cluster: group } = /** @type {{ meta_cluster?: { replicas?: { current: boolean }[] } }} */ (
    await response.json()
  )
  return group?.replicas ?? []
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
