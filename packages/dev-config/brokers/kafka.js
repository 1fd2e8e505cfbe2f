// Kafka in KRaft mode, broker and controller in one process: from Maven's jars, which a JVM of 17 or newer runs; else in a container.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { inContainer, NoBroker, onPath } from './programs.js'
import { ask, freePort, startServer } from './server.js'

/** @typedef {import('./server.js').Server} Server */

/**
 * @typedef {object} KafkaOptions
 * @property {string} [version]       default 4.1.0
 * @property {readonly string[]} [settings]   further lines of server.properties
 * @property {boolean} [brief]        it lives for a few minutes: its code is compiled quickly and not well
 * @property {{ port: number, users: Readonly<Record<string, string>> }} [guarded]   a second listener, where it speaks TLS (its certificate is broker.pem in
 *   its folder), asks for a user and password, and allows nothing that no ACL allows. Who comes by the first may do everything
 */

export const KAFKA = '4.1.0'
/** The last that could be run with ZooKeeper, and the oldest that is tested. */
export const OLD_KAFKA = '3.9.1'

/** A number is enough: nobody else is in its cluster. */
const CLUSTER_ID = 'dGFza3MtdGVzdC1jbHVzdA'
const HEAP = '-Xmx512m'
const QUICK = '-XX:TieredStopAtLevel=1'

/** @param {KafkaOptions} [options] @returns {Promise<Server>} */
export async function startKafka(options = {}) {
  return startNode(options, 1, [await freePort()])
}

/**
 * Several brokers that are one cluster, each of them a controller as well. Their URL is that of all.
 *
 * @param {KafkaOptions & { brokers?: number }} [options] @returns {Promise<{ url: string, servers: Server[], stop: () => Promise<void> }>}
 */
export async function startKafkaCluster({ brokers = 3, ...options } = {}) {
  const controllers = await Promise.all(Array.from({ length: brokers }, freePort))
  // Fetched once, before they all look for it.
  jarsOf(options.version ?? KAFKA)
  const started = await Promise.allSettled(controllers.map((_, index) => startNode(options, index + 1, controllers)))
  const servers = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  const failed = started.find((each) => each.status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return { url: `kafka://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`, servers, stop }
}

/**
 * @param {KafkaOptions} options @param {number} id @param {readonly number[]} controllers the ports of all controllers
 * @returns {Promise<Server>}
 */
async function startNode({ version = KAFKA, settings = [], brief = false, guarded }, id, controllers) {
  const jars = jarsOf(version)
  if (guarded !== undefined && jars === undefined)
    throw new NoBroker('no Java on this machine, to make certificates with')
  const boxed = jars === undefined ? inContainer(`apache/kafka:${version}`, ['sh']) : undefined
  const data = (/** @type {string} */ folder) => join(boxed?.folder ?? folder, 'data')
  const replicas = Math.min(3, controllers.length)
  return startServer({
    name: 'kafka',
    command: boxed?.container.docker ?? 'sh',
    ...(boxed && { container: boxed.container }),
    args: ({ folder, port }) => {
      const properties = {
        'process.roles': 'broker,controller',
        'node.id': id,
        'controller.quorum.voters': controllers.map((each, index) => `${index + 1}@127.0.0.1:${each}`).join(','),
        listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllers[id - 1]}`,
        'controller.listener.names': 'CONTROLLER',
        'log.dirs': data(folder),
        'offsets.topic.replication.factor': replicas,
        'transaction.state.log.replication.factor': replicas,
        'transaction.state.log.min.isr': Math.min(2, replicas),
        ...SMALL,
        ...(guarded && guardedListener(guarded, { folder, port, controller: controllers[id - 1] })),
      }
      const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}`)
      writeFileSync(join(folder, 'server.properties'), [...lines, ...settings, ''].join('\n'))
      return [...(boxed?.args(folder) ?? []), '-c', script(boxed?.folder ?? folder, jars, brief)]
    },
    async ready({ port }) {
      await ask(port, API_VERSIONS)
      return version
    },
    url: (port) => `kafka://127.0.0.1:${port}`,
  })
}

/**
 * @param {{ port: number, users: Readonly<Record<string, string>> }} guarded
 * @param {{ folder: string, port: number, controller: number | undefined }} place
 */
function guardedListener({ port, users }, { folder, port: open, controller }) {
  const store = join(folder, 'broker.p12')
  const named = ['-alias', 'broker', '-keystore', store, '-storepass', STORE_PASSWORD]
  if (!existsSync(store)) {
    const who = ['-keyalg', 'RSA', '-dname', 'CN=broker', '-ext', 'san=ip:127.0.0.1', '-validity', '2']
    spawnSync('keytool', ['-genkeypair', ...named, '-storetype', 'PKCS12', ...who])
    spawnSync('keytool', ['-exportcert', ...named, '-rfc', '-file', join(folder, 'broker.pem')])
  }
  const known = Object.entries(users).map(([name, password]) => `user_${name}="${password}"`)
  const tls = 'listener.name.guarded.ssl.keystore'
  return {
    listeners: `PLAINTEXT://127.0.0.1:${open},GUARDED://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,GUARDED:SASL_SSL,CONTROLLER:PLAINTEXT',
    [`${tls}.location`]: store,
    [`${tls}.type`]: 'PKCS12',
    [`${tls}.password`]: STORE_PASSWORD,
    'listener.name.guarded.sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.guarded.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${known.join(' ')};`,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
  }
}

/** Of what lives as long as a test. */
const STORE_PASSWORD = 'password'

/** What a broker of a few topics on a busy machine needs no more of. */
const SMALL = {
  'auto.create.topics.enable': false,
  'group.initial.rebalance.delay.ms': 0,
  'offsets.topic.num.partitions': 1,
  'transaction.state.log.num.partitions': 4,
  'num.network.threads': 2,
  'num.io.threads': 4,
  'log.cleaner.dedupe.buffer.size': 4_194_304,
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': 2_000,
  'file.delete.delay.ms': 1_000,
}

/** A question that every version answers. */
const API_VERSIONS = '\0\0\0\x0a\0\x12\0\0\0\0\0\x01\0\0'

/**
 * Formats the folder once, and becomes the server.
 *
 * @param {string} folder @param {string | undefined} jars @param {boolean} brief
 */
function script(folder, jars, brief) {
  const properties = `'${folder}/server.properties'`
  const format = `format -t ${CLUSTER_ID} -c ${properties}`
  const once = `test -f '${folder}/data/meta.properties' ||`
  if (jars === undefined)
    return `${once} /opt/kafka/bin/kafka-storage.sh ${format} && exec env KAFKA_HEAP_OPTS=${HEAP} /opt/kafka/bin/kafka-server-start.sh ${properties}`
  const java = `java -cp '${jars}/*'`
  return `${once} ${java} ${QUICK} kafka.tools.StorageTool ${format} && exec ${java} ${HEAP} -XX:+UseSerialGC ${brief ? QUICK : ''} kafka.Kafka ${properties}`
}

/**
 * The folder of Kafka's jars, outside of the repository; undefined where Java or Maven cannot be had.
 *
 * @param {string} version @returns {string | undefined}
 */
function jarsOf(version) {
  if (onPath('java', 'openjdk-17-jre-headless') === undefined) return undefined
  const cache = process.env['TASKS_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tasks')
  const folder = join(cache, `kafka-${version}`)
  if (existsSync(folder)) return folder
  const maven = onPath('mvn', 'maven')
  if (maven === undefined) return undefined
  console.error(`broker: fetching Kafka ${version} with Maven, once, to ${folder} …`)
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'fetching-'))
  try {
    writeFileSync(
      join(work, 'pom.xml'),
      `<project><modelVersion>4.0.0</modelVersion><groupId>tasks</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency></dependencies></project>`,
    )
    const goals = [
      '-q',
      '-B',
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${work}/jars`,
    ]
    const { status, stdout } = spawnSync(maven, goals, { cwd: work, encoding: 'utf8' })
    if (status !== 0) throw new NoBroker(`Maven could not fetch Kafka ${version}:\n${stdout.slice(-2_000)}`)
    try {
      renameSync(join(work, 'jars'), folder)
    } catch (error) {
      // Somebody else was quicker.
      if (!existsSync(folder)) throw error
    }
    return folder
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
