// What the server spends, and how to begin with an empty one.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

export class RedisMeter {
  readonly #client: Redis

  constructor(url: string) {
    this.#client = new Redis(url)
  }

  /** Of all its threads, since it started. */
  async cpuSeconds(): Promise<number> {
    const info = await this.#info('cpu')
    return numberOf(info, 'used_cpu_sys') + numberOf(info, 'used_cpu_user')
  }

  /** What it has allocated, without what it keeps for its clients and has not yet written. */
  async usedBytes(): Promise<number> {
    const info = await this.#info('memory')
    return numberOf(info, 'used_memory') - numberOf(info, 'mem_clients_normal') - numberOf(info, 'mem_aof_buffer')
  }

  /** Empties the server and its append-only file: what a round leaves behind is not the next one's burden. */
  async clear(): Promise<void> {
    await this.#client.flushall('SYNC')
    await this.rewriteLog()
  }

  /** Has its append-only file, if it keeps one, rewritten now: it does not begin by itself then before that has grown to twice its size. */
  async rewriteLog(): Promise<void> {
    const before = await this.#whenNotRewriting(0)
    if (numberOf(before, 'aof_enabled') === 0) return
    await this.#client.bgrewriteaof()
    await this.#whenNotRewriting(numberOf(before, 'aof_rewrites') + 1)
  }

  async #whenNotRewriting(rewrites: number): Promise<string> {
    for (let i = 0; i < 6_000; i++) {
      const info = await this.#info('persistence')
      const idle = numberOf(info, 'aof_rewrite_in_progress') + numberOf(info, 'aof_rewrite_scheduled') === 0
      if (idle && numberOf(info, 'aof_rewrites') >= rewrites) return info
      await sleep(10)
    }
    assert.fail('the server did not rewrite its append-only file')
  }

  async close(): Promise<void> {
    await this.#client.quit()
  }

  #info(section: string): Promise<string> {
    return this.#client.info(section)
  }
}

function numberOf(info: string, name: string): number {
  const [, text] = new RegExp(`^${name}:(\\S+)`, 'm').exec(info) ?? []
  assert.ok(text !== undefined, `the server does not say its ${name}`)
  return Number(text)
}
