// redis-server, or valkey-server: the machine's, else installed from the distribution's package, else in a container.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask, startServer } from './server.js'
import { inContainer, NoBroker, onPath } from './programs.js'

/** @type {Readonly<Record<string, string>>} */
const IMAGES = { 'redis-server': 'redis:7-alpine', 'valkey-server': 'valkey/valkey:8-alpine' }

/**
 * @typedef {object} RedisOptions
 * @property {string} [program]                          redis-server, valkey-server or a path; default `TASKS_REDIS_SERVER`, else redis-server
 * @property {'always' | 'everysec' | 'no' | 'off'} [appendfsync]   `off`: no append-only file at all. Default everysec
 * @property {readonly string[]} [settings]              further settings: `--maxmemory`, `100mb`
 */

/** @param {RedisOptions} [options] @returns {Promise<import('./server.js').Server>} */
export async function startRedis(options = {}) {
  const { appendfsync = 'everysec', settings = [] } = options
  const program = options.program ?? process.env['TASKS_REDIS_SERVER'] ?? 'redis-server'
  const path = onPath(program)
  const boxed = path === undefined ? inContainer(IMAGES[program] ?? 'redis:7-alpine', [program]) : undefined
  const persistence =
    appendfsync === 'off' ? ['--appendonly', 'no'] : ['--appendonly', 'yes', '--appendfsync', appendfsync]
  return startServer({
    name: 'redis',
    command: path ?? /** @type {string} */ (boxed?.container.docker),
    ...(boxed && { container: boxed.container }),
    args: ({ folder, port }) => [
      ...(boxed?.args(folder) ?? []),
      '--port',
      `${port}`,
      '--bind',
      '127.0.0.1',
      '--dir',
      boxed?.folder ?? folder,
      '--save',
      '',
      '--daemonize',
      'no',
      ...persistence,
      ...settings,
    ],
    async ready({ port }) {
      const facts = await ask(port, 'INFO\r\n')
      const [, version] = /(?:valkey|redis)_version:(\S+)/.exec(facts) ?? []
      if (version === undefined || !/^loading:0\r$/m.test(facts)) throw new Error('it is loading')
      return version
    },
    url: (port) => `redis://127.0.0.1:${port}`,
  })
}

/**
 * One Sentinel, which alone decides that a primary is down. Not in a container: it has to reach the servers by the addresses that clients use.
 *
 * @param {{ name: string, port: number }} primary @returns {Promise<import('./server.js').Server>}
 */
export async function startSentinel({ name, port: primary }) {
  const path = onPath('redis-server')
  if (path === undefined) throw new NoBroker('no redis-server on this machine')
  return startServer({
    name: 'sentinel',
    command: path,
    args({ folder, port }) {
      const file = join(folder, 'sentinel.conf')
      const settings = [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${folder}`,
        `sentinel monitor ${name} 127.0.0.1 ${primary} 1`,
        `sentinel down-after-milliseconds ${name} 500`,
        `sentinel failover-timeout ${name} 5000`,
      ]
      writeFileSync(file, settings.join('\n') + '\n')
      return [file, '--sentinel']
    },
    async ready({ port }) {
      const [, version] = /redis_version:(\S+)/.exec(await ask(port, 'INFO server\r\n')) ?? []
      if (version === undefined) throw new Error('it is starting')
      return version
    },
    url: (port) => `redis://127.0.0.1:${port}`,
  })
}
