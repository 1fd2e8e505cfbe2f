// A broker to try things on: `npm run broker -- redis` starts a real server on a free port, with a temporary folder, prints its URL, and stops it with this process.
//
//   npm run broker -- redis                      as shipped: the append-only file is synced every second
//   npm run broker -- redis always               … before every answer; or: no, off
//   npm run broker -- redis everysec --maxmemory 100mb
//   npm run broker -- kafka                      one broker of Kafka 4; or: kafka 3.9.1
//   npm run broker -- nats                       JetStream of the nats-server that is here
//   npm run broker -- nats 2.12.1                … of that version, built with Go
//   npm run broker -- nats 2.12.1 always         … that syncs before every answer
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { NoBroker, startKafka, startNats, startRedis } from '../packages/dev-config/brokers/index.js'

/** @typedef {import('../packages/dev-config/brokers/index.js').Server} Server */

/** @type {Readonly<Record<string, (args: readonly string[]) => Promise<Server>>>} */
const brokers = {
  kafka: ([version, ...settings]) => startKafka({ settings, ...(version !== undefined && { version }) }),
  nats(args) {
    const version = args.find((each) => /^\d/.test(each))
    const unknown = args.find((each) => each !== version && each !== 'always')
    if (unknown !== undefined) fail(`"${unknown}" is neither a version nor "always"`)
    return startNats({
      ...(version !== undefined && { version }),
      ...(args.includes('always') && { jetstream: 'sync_interval: always' }),
    })
  },
  redis([appendfsync, ...settings]) {
    const known = /** @type {const} */ (['always', 'everysec', 'no', 'off'])
    const chosen = known.find((each) => each === appendfsync)
    if (appendfsync !== undefined && chosen === undefined) fail(`"${appendfsync}" is none of ${known.join(', ')}`)
    return startRedis({ settings, ...(chosen && { appendfsync: chosen }) })
  },
}

const [name = '', ...args] = process.argv.slice(2)
if (name === '--help') {
  const [, usage] = /\n\/\/\n(.*?)\nimport/s.exec(readFileSync(fileURLToPath(import.meta.url), 'utf8')) ?? []
  console.log(usage?.replaceAll(/^\/\/ {3}/gm, ''))
  process.exit()
}
const start = brokers[name] ?? fail(`say which broker: ${Object.keys(brokers).join(', ')}`)
try {
  const server = await start(args)
  console.log(server.url)
  console.error(`broker: ${name} ${server.version}, process ${server.pid()}, data in ${server.folder}; Ctrl-C stops it`)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  await server.stop()
} catch (error) {
  if (error instanceof NoBroker) fail(error.message)
  throw error
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`broker: ${message}`)
  process.exit(2)
}
