// Where pipelines are while a listener is held to its promises: what it promises does not depend on the store, so it is tried on several.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ListenerHarness } from '@tasks/conformance'
import { startRedis } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import { redisTransport } from '@tasks/transport-redis'
import { sqliteTransport } from '@tasks/transport-sqlite'
import { afterAll } from 'vitest'

/** What a harness says of its store. */
export type ListenerStore = Pick<ListenerHarness, 'store' | 'leaseMs' | 'eventuallyMs'>

/** Disks and servers stand still for longer than memory. */
const patience = { leaseMs: 1_000, eventuallyMs: 40_000 }

const stores = {
  memory: async () => ({}),
  async SQLite() {
    const folder = mkdtempSync(join(tmpdir(), 'tasks-listener-'))
    afterAll(() => rmSync(folder, { recursive: true, force: true }))
    return { store: { create: () => sqliteTransport({ path: join(folder, 'tasks.db') }) }, ...patience }
  },
  async Redis() {
    const server = await serverOrReason(() => startRedis())
    if (typeof server === 'string') return undefined
    afterAll(() => server.stop())
    return { store: { create: () => redisTransport({ url: server.url }) }, ...patience }
  },
} satisfies Record<string, () => Promise<ListenerStore | undefined>>

/**
 * For the file of tests that calls it: memory, and where everything is tried SQLite and Redis, too.
 * @param quick those that are tried always
 */
export async function listenerStores(
  quick: readonly (keyof typeof stores)[] = ['memory'],
): Promise<readonly (readonly [name: string, store: ListenerStore])[]> {
  const names = Object.keys(stores) as (keyof typeof stores)[]
  const chosen = process.env['TASKS_TIER'] === 'all' ? names : quick
  const made = await Promise.all(chosen.map(async (name) => [name, await stores[name]()] as const))
  return made.flatMap(([name, store]) => (store === undefined ? [] : [[name, store] as const]))
}
