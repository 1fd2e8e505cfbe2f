// A network between a transport and the server, and what networks do: cut, hang, delay, lose an answer, deliver late.
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
  readonly spring: (link: Link, data: Buffer) => void
}

export class Proxy {
  readonly #server: Server
  readonly #links = new Set<Link>()
  #port: number
  #refusing = false
  #delayMs = 0
  #bytesPerMs = Infinity
  /** Ends of connections that the near side has given up. */
  readonly #late = new Set<Socket>()
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
      near.on('data', (data) => {
        this.#forth(link, data)
        if (this.#bytesPerMs === Infinity) return
        near.pause()
        setTimeout(() => near.resume(), data.length / this.#bytesPerMs)
      })
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
  trap(pattern: Pattern, fault: 'lost' | 'unanswered'): Promise<void> {
    return this.#set(pattern, ({ near, far }, data, sprung) => {
      const cut = (): void => {
        near.resetAndDestroy()
        sprung()
      }
      if (fault === 'lost') return cut()
      far.removeAllListeners('data')
      // It has been executed when the server answers.
      far.once('data', cut)
      far.write(data)
      return undefined
    })
  }

  /** The next time that something like this is sent to the server, it is kept on the way, with what follows on its connection. Resolves then, with what lets it go. */
  hold(pattern: Pattern): Promise<() => void> {
    return this.#set(pattern, ({ near, far }, data, sprung) => {
      const others = near.listeners('data') as ((data: Buffer) => void)[]
      const held = [data]
      const keep = (more: Buffer): void => void held.push(more)
      near.removeAllListeners('data').on('data', keep)
      sprung(() => {
        near.off('data', keep)
        for (const other of others) near.on('data', other)
        far.write(Buffer.concat(held))
      })
    })
  }

  /**
   * The next time that something like this is sent to the server, it is kept on the way, and its sender sees the connection break. Resolves then, with what
   * delivers it after all; that resolves when the server has executed it.
   */
  late(pattern: Pattern): Promise<() => Promise<void>> {
    return this.#set(pattern, (link, data, sprung) => {
      const { near, far } = link
      this.#links.delete(link)
      near.removeAllListeners()
      near.on('error', () => {}).resetAndDestroy()
      far.removeAllListeners()
      far.on('error', () => {}).resume()
      this.#late.add(far)
      sprung(async () => {
        const closed = once(far, 'close')
        far.end(data)
        await closed
        this.#late.delete(far)
      })
    })
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

  /** What is sent to the server takes its time. */
  throttle(bytesPerMs: number): void {
    this.#bytesPerMs = bytesPerMs
  }

  async close(): Promise<void> {
    this.#refusing = true
    this.cut()
    for (const far of this.#late) far.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #forth(link: Link, data: Buffer): void {
    const index = this.#traps.findIndex(({ pattern }) =>
      typeof pattern === 'string' ? data.includes(pattern) : pattern(data),
    )
    if (index < 0) return this.#pass(link.far, data)
    const [trap] = this.#traps.splice(index, 1)
    return trap!.spring(link, data)
  }

  #set<T>(pattern: Pattern, spring: (link: Link, data: Buffer, sprung: (value: T) => void) => void): Promise<T> {
    return new Promise((sprung) => this.#traps.push({ pattern, spring: (link, data) => spring(link, data, sprung) }))
  }

  #pass(to: Socket, data: Buffer): void {
    if (this.#delayMs === 0) to.write(data)
    else setTimeout(() => to.writable && to.write(data), this.#delayMs)
  }
}
