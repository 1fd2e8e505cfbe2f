// A real server of a broker, for tests, benchmarks and people: on a free port of 127.0.0.1, with a temporary folder, as a child of this process.
// It is stopped with this process, unless that is killed by a signal which it does not hear, and nothing else ever is.
import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * @typedef {object} Server
 * @property {string} url
 * @property {number} port
 * @property {string} version          as the server says
 * @property {string} folder           its data; removed by `stop`
 * @property {() => number} pid
 * @property {(signal: NodeJS.Signals) => void} kill   SIGKILL, SIGSTOP, SIGCONT, …; to the server itself, in a container too
 * @property {() => Promise<void>} restart             starts it again on the same port with the same data, after stopping it if it runs
 * @property {() => Promise<void>} stop
 *
 * @typedef {object} Recipe            how the server of one broker is run
 * @property {string} name
 * @property {string} command
 * @property {{ docker: string, name: string }} [container]   if the command runs a container: docker does not pass every signal on to it
 * @property {(place: { folder: string, port: number }) => string[]} args
 * @property {(place: { folder: string, port: number }) => Promise<string>} ready   resolves with the version once it answers; rejects while it does not
 * @property {(port: number) => string} url
 */

const PATIENCE_MS = 120_000

/** Below those that systems give to outgoing connections: one of these would take the port of a server that has not begun yet, or that is being restarted. */
const PORTS = /** @type {const} */ ([20_000, 32_000])

/** @param {Recipe} recipe @returns {Promise<Server>} */
export async function startServer(recipe) {
  const folder = mkdtempSync(join(tmpdir(), `tasks-${recipe.name}-`))
  const port = await freePort()
  /** @type {import('node:child_process').ChildProcess} */
  let child
  let version = ''
  const kill = (/** @type {NodeJS.Signals} */ signal) => {
    const { container } = recipe
    if (container === undefined) child.kill(signal)
    else spawnSync(container.docker, ['kill', '--signal', signal, container.name], { stdio: 'ignore' })
  }
  const killChild = () => kill('SIGKILL')

  const start = async () => {
    child = spawn(recipe.command, recipe.args({ folder, port }), { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const keep = (/** @type {Buffer} */ text) => (output = (output + text).slice(-4_000))
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    /** @type {Error | undefined} */
    let failure
    child.once('error', (error) => (failure = error))
    let lastly = ''
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const ended = child.exitCode ?? child.signalCode
      if (failure !== undefined || ended !== null || performance.now() > until) {
        killChild()
        const why =
          failure?.message ??
          (ended === null ? `not ready after ${PATIENCE_MS / 1000} s (${lastly})` : `ended with ${ended}`)
        throw new Error(`${recipe.name} did not start: ${why}\n${output}`)
      }
      try {
        version = await recipe.ready({ folder, port })
        return
      } catch (error) {
        lastly = String(error)
        await sleep(20)
      }
    }
  }

  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    // One that is stopped by SIGSTOP hears of nothing else.
    killChild()
    await exited
  }

  process.once('exit', killChild)
  try {
    await start()
  } catch (error) {
    process.off('exit', killChild)
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
  return {
    url: recipe.url(port),
    port,
    folder,
    get version() {
      return version
    },
    pid: () => /** @type {number} */ (child.pid),
    kill,
    async restart() {
      await end()
      await start()
    },
    async stop() {
      process.off('exit', killChild)
      await end()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** What this process was given: a server that is to have one listens only later. @type {Set<number>} */
const given = new Set()

/** A port that is free now, and that nobody else in this process is given. @returns {Promise<number>} */
export async function freePort() {
  for (;;) {
    if (given.size === PORTS[1] - PORTS[0]) throw new Error(`no port from ${PORTS[0]} to ${PORTS[1]} is left`)
    const port = randomInt(...PORTS)
    if (given.has(port)) continue
    given.add(port)
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EADDRINUSE') continue
      throw error
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

/**
 * Sends some bytes, and resolves with the first that come back.
 *
 * @param {number} port @param {string} text @returns {Promise<string>}
 */
export function ask(port, text) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => void socket.write(text))
    socket.setTimeout(2_000, () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed without an answer')))
    socket.once('data', (data) => {
      resolve(data.toString('latin1'))
      socket.destroy()
    })
  })
}
