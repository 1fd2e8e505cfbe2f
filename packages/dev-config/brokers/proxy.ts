// A network between a transport and the server, and what networks do: cut, hang, delay, lose an answer.
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

interface Link {
  readonly near: Socket
  readonly far: Socket
}

/** What is sent, or what is looked for in it. */
export type Pattern = string | ((data: Buffer) => boolean)

interface Trap {
  readonly pattern: Pattern
  readonly fault: 'lost' | 'unanswered'
  readonly sprung: () => void
}

export class Proxy {
  readonly #server: Server
  readonly #links = new Set<Link>()
  #port: number
  #refusing = false
  #delayMs = 0
  #traps: Trap[] = []
  /** Connections so far. */
  connections = 0

  static async to(port: number): Promise<Proxy> {
    const server = createServer({ noDelay: true })
    const proxy = new Proxy(server, port)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return proxy
  }

  private constructor(server: Server, port: number) {
    this.#server = server
    this.#port = port
    server.on('connection', (near: Socket) => {
      if (this.#refusing) return near.destroy()
      this.connections++
      const far = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
      const link = { near, far }
      this.#links.add(link)
      const end = (): void => {
        this.#links.delete(link)
        near.destroy()
        far.destroy()
      }
      for (const socket of [near, far]) socket.on('error', end).on('close', end)
      near.on('data', (data) => this.#forth(link, data))
      far.on('data', (data) => this.#pass(near, data))
      return undefined
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /**
   * The next time that something like this is sent to the server: it does not arrive (`lost`), or it does and nothing that the server says from then on is heard
   * (`unanswered`); then the connection is cut. Resolves when that has happened.
   */
  trap(pattern: Pattern, fault: Trap['fault']): Promise<void> {
    return new Promise((sprung) => this.#traps.push({ pattern, fault, sprung }))
  }

  /** New connections lead there. */
  leadTo(port: number): void {
    this.#port = port
  }

  /** Closes what is open. */
  cut(): void {
    for (const { near, far } of this.#links) {
      near.resetAndDestroy()
      far.destroy()
    }
  }

  /** Takes no new connections, until `accept`. */
  refuse(): void {
    this.#refusing = true
  }

  accept(): void {
    this.#refusing = false
  }

  /** Connections stay open, and nothing passes: what is left when the other end's machine has lost its power. New ones work. */
  hang(): void {
    for (const { near, far } of this.#links) {
      near.removeAllListeners('data').pause()
      far.removeAllListeners('data').pause()
    }
  }

  delay(ms: number): void {
    this.#delayMs = ms
  }

  async close(): Promise<void> {
    this.#refusing = true
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #forth(link: Link, data: Buffer): void {
    const index = this.#traps.findIndex(({ pattern }) =>
      typeof pattern === 'string' ? data.includes(pattern) : pattern(data),
    )
    if (index < 0) return this.#pass(link.far, data)
    const [trap] = this.#traps.splice(index, 1)
    const cut = (): void => {
      link.near.resetAndDestroy()
      trap!.sprung()
    }
    if (trap!.fault === 'lost') return cut()
    link.far.removeAllListeners('data')
    // It has been executed when the server answers.
    link.far.once('data', cut)
    link.far.write(data)
    return undefined
  }

  #pass(to: Socket, data: Buffer): void {
    if (this.#delayMs === 0) to.write(data)
    else setTimeout(() => to.writable && to.write(data), this.#delayMs)
  }
}
