// The promises once more, with each connection of a case in a process of its own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { engineCases, transportCases, type ConformanceCase } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { sqliteTransport } from '../src/index'
import { RemoteTransports } from './support/remote-transport'

const folder = mkdtempSync(join(tmpdir(), 'tasks-sqlite-'))
const path = join(folder, 'tasks.db')
const { capabilities } = sqliteTransport({ path })
const transports = new RemoteTransports(path, capabilities)

const harness = {
  name: 'sqlite',
  capabilities,
  create: () => transports.create(),
  reader: true,
  retention: true,
  crash: (transport: Parameters<RemoteTransports['crash']>[0]) => transports.crash(transport),
  eventuallyMs: 10_000,
  async dispose() {
    await transports.end()
    rmSync(folder, { recursive: true, force: true })
  },
}

// Of these there is nothing to see in several processes, or they arm a fault in the process of a transport: conformance.test.ts has them.
const elsewhere = ({ promise, requires = [] }: ConformanceCase): boolean =>
  promise === 'S8' || requires.some((ability) => /^(stall|faults)/.test(ability))

describeTransport('sqlite, each connection in a process of its own', harness, {
  cases: [...transportCases, ...engineCases].filter((each) => !elsewhere(each)),
})
