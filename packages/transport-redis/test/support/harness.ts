// What the conformance suite does to this transport: through a network of its own for each connection, and a real server behind it.
import type { TransportHarness, Unknown } from '@tasks/conformance'
import type { Transport } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import type { RedisOptions } from 'ioredis'
import { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'
import { redisTransport } from '../../src/index'
import { commit } from '../../src/scripts/commit'
import { heartbeat } from '../../src/scripts/ownership'
import { send } from '../../src/scripts/send'
import { settle } from '../../src/scripts/settle'
import type { Script } from '../../src/script'

/** A client whose heartbeats do not leave, while it is stalled. */
class StallingRedis extends Redis {
  readonly #stall: { isStalled: boolean }

  constructor(options: RedisOptions, stall: { isStalled: boolean }) {
    super(options as object)
    this.#stall = stall
  }

  override duplicate(override?: RedisOptions): Redis {
    return new StallingRedis({ ...this.options, ...override }, this.#stall)
  }

  override sendCommand(command: never, ...rest: never[]): unknown {
    const { isStalled } = this.#stall
    const text = isStalled ? String((command as { toWritable(): Buffer }).toWritable()) : ''
    if (isStalled && (text.includes(heartbeat.sha) || text.includes('-- tasks: heartbeat')))
      return new Promise(() => {})
    return super.sendCommand(command, ...rest)
  }
}

interface Made {
  readonly proxy: Proxy
  readonly stall: { isStalled: boolean }
}

export async function conformanceHarness(server: Server): Promise<TransportHarness> {
  const made = new WeakMap<Transport, Made>()
  const proxies: Proxy[] = []

  const create = async (): Promise<Transport> => {
    const proxy = await Proxy.to(server.port)
    proxies.push(proxy)
    const stall = { isStalled: false }
    const client = new StallingRedis({ host: '127.0.0.1', port: proxy.port, lazyConnect: true }, stall)
    // A crashed connection is closed in the end, and should not be waited for.
    const transport = redisTransport({ client, patienceMs: 5_000 })
    made.set(transport, { proxy, stall })
    return transport
  }
  const failing =
    ({ sha }: Script) =>
    (transport: Transport, fault: Unknown): void =>
      void made.get(transport)!.proxy.trap(sha, fault)

  const first = redisTransport({ url: server.url })
  await first.open({ namespace: 'warm-up' })
  const { capabilities } = first
  await first.close()

  return {
    name: `redis ${server.version}`,
    capabilities,
    create,
    reader: true,
    retention: true,
    crash(transport) {
      const { proxy } = made.get(transport)!
      proxy.refuse()
      proxy.cut()
    },
    stall(transport) {
      const { stall } = made.get(transport)!
      stall.isStalled = true
      return () => void (stall.isStalled = false)
    },
    async restartBroker() {
      // While the disk is busy with what `everysec` has given it, Redis keeps what follows to itself, for up to two seconds: who kills it then takes that along, as README says.
      const asking = new Redis(server.port)
      while (!(await asking.info('persistence')).includes('aof_buffer_length:0\r\n')) await sleep(10)
      asking.disconnect()
      await server.restart()
    },
    faults: { commit: failing(commit), send: failing(send), settle: failing(settle) },
    async dispose() {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await server.stop()
    },
  }
}
