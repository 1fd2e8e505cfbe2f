// What the conformance suite does to this transport: through a network of its own for each connection, and a real server behind it.
import type { TransportHarness, Unknown } from '@tasks/conformance'
import type { Transport } from '@tasks/core'
import type { Server } from '@tasks/dev-config/brokers'
import { Proxy } from '@tasks/dev-config/brokers/proxy'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { natsTransport } from '../../src/index'

interface Made {
  readonly proxy: Proxy
  readonly stall: { isStalled: boolean }
}

/** What is in the text of a commit, and of nothing else that is sent while a session goes on. */
const COMMIT = 'Nats-Expected-Last-Subject-Sequence'
/** Of a message that is stored: requests of the server's own are not called so. */
const STORED = 'PUB tasks.'

export async function conformanceHarness(server: Server): Promise<TransportHarness> {
  const made = new WeakMap<Transport, Made>()
  const proxies: Proxy[] = []
  const clients: NatsConnection[] = []

  const create = async (): Promise<Transport> => {
    const proxy = await Proxy.to(server.port)
    proxies.push(proxy)
    const stall = { isStalled: false }
    const client = await connect({
      servers: `127.0.0.1:${proxy.port}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
    })
    clients.push(client)
    // A client whose heartbeats do not leave, while it is stalled.
    const publish = client.publish.bind(client)
    client.publish = (subject, ...rest) => {
      if (!stall.isStalled || !subject.includes('.state.host.')) publish(subject, ...rest)
    }
    // A crashed connection is closed in the end, and should not be waited for.
    const transport = natsTransport({ client })
    made.set(transport, { proxy, stall })
    const close = transport.close.bind(transport)
    transport.close = async () => {
      await close()
      await client.close()
    }
    return transport
  }
  const failing =
    (pattern: string) =>
    (transport: Transport, fault: Unknown): void =>
      void made.get(transport)!.proxy.trap(pattern, fault)

  const first = natsTransport({ url: server.url })
  await first.open({ namespace: 'warm-up' })
  const { capabilities } = first
  await first.close()

  return {
    name: `nats-server ${server.version}`,
    capabilities,
    // The server hands out again what has run out at once, to whoever waits: a busy machine must not take longer than that.
    leaseMs: 1_500,
    eventuallyMs: 10_000,
    create,
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
    restartBroker: () => server.restart(),
    faults: { commit: failing(COMMIT), send: failing(STORED), settle: failing(STORED) },
    async dispose() {
      await Promise.all(clients.map((client) => client.close()))
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await server.stop()
    },
  }
}
