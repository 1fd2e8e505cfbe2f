// Reading: once from an offset, and on and on. What is followed is asked for in one request to each broker, which waits there until something comes; it has a connection of its own.
import { sleep } from '@tasks/core/adapter'
import type { Chunk, Place } from '../driver'
import { refused } from '../failure'
import type { Cluster } from './cluster'
import { Lines } from './cluster'
import { Code, meaningOf } from './codes'
import { decodeBatches } from './record-batch'
import type { FetchAnswer, FetchPlace } from './requests'
import { FETCH, LIST_OFFSETS } from './requests'
import { explain } from './writer'

interface Follower extends Place {
  next: number
  readonly onChunk: (chunk: Chunk) => void
  stopped: boolean
}

/** How long a request waits at the broker. */
const WAIT_MS = 5_000
const MOST = { maxBytes: 16 * 1024 * 1024, maxPartitionBytes: 4 * 1024 * 1024 }

export class Reader {
  readonly #cluster: Cluster
  readonly #once: Lines
  readonly #waiting: Lines
  readonly #followers = new Set<Follower>()
  /** Brokers that are being asked, and whether they are to be asked anew because there is more to ask for. */
  readonly #asking = new Map<number, { stale: boolean }>()
  #cutting = false
  #closed = false

  constructor(cluster: Cluster, once: Lines) {
    this.#cluster = cluster
    this.#once = once
    this.#waiting = new Lines(cluster)
  }

  read(place: Place, from: number): Promise<Chunk> {
    let start = from
    return this.#cluster.patiently(`reading ${place.topic}/${place.partition}`, async () => {
      const leader = await this.#leaderOf(place)
      if (leader === undefined) return undefined
      const places = [{ ...place, from: start }]
      const [answer] = await this.#once.to(leader).call(FETCH, { ...MOST, places, waitMs: 0 })
      if (answer!.code === Code.OFFSET_OUT_OF_RANGE) {
        start = await this.#nearest(place, start)
        return undefined
      }
      refuse(answer!)
      if (answer!.code !== Code.NONE) return undefined
      return chunkOf(answer!, start)
    })
  }

  follow(place: Place, from: number, onChunk: (chunk: Chunk) => void): () => void {
    const follower: Follower = { ...place, next: from, onChunk, stopped: false }
    this.#followers.add(follower)
    this.#cutSoon()
    return () => {
      follower.stopped = true
      this.#followers.delete(follower)
    }
  }

  /** Asks a broker for what it leads; several times for one topic in a row it may lead nothing any more. */
  async #leaderOf(place: Place): Promise<number | undefined> {
    const known = this.#cluster.leaderOf(place)
    if (known !== undefined && known >= 0) return known
    await this.#cluster.refresh([place.topic])
    const leader = this.#cluster.leaderOf(place)
    return leader !== undefined && leader >= 0 ? leader : undefined
  }

  async offsetAt(place: Place, time: number): Promise<number> {
    const offset = await this.#offset(place, time)
    return offset >= 0 ? offset : this.#offset(place, LATEST)
  }

  async range(place: Place): Promise<{ start: number; end: number }> {
    const [start, end] = await Promise.all([this.#offset(place, EARLIEST), this.#offset(place, LATEST)])
    return { start, end }
  }

  close(): void {
    this.#closed = true
    this.#followers.clear()
    this.#waiting.close()
    this.#once.close()
  }

  // ---- Following

  /** A request that waits knows nothing of what has come to be followed since: it is given up, and asked anew. */
  #cutSoon(): void {
    if (this.#cutting) return
    this.#cutting = true
    setImmediate(() => {
      this.#cutting = false
      void this.#askAll()
    })
  }

  async #askAll(): Promise<void> {
    const unknown = new Set<string>()
    const nodes = new Set<number>()
    for (const follower of this.#followers) {
      const leader = this.#cluster.leaderOf(follower)
      if (leader === undefined || leader < 0) unknown.add(follower.topic)
      else nodes.add(leader)
    }
    for (const node of nodes) {
      const asking = this.#asking.get(node)
      if (asking === undefined) void this.#ask(node)
      else {
        asking.stale = true
        this.#waiting.cut(node)
      }
    }
    if (unknown.size === 0 || this.#closed) return
    await this.#cluster.refresh([...unknown]).catch(() => {})
    if (this.#closed) return
    for (const follower of this.#followers) {
      const leader = this.#cluster.leaderOf(follower)
      if (unknown.has(follower.topic) && (leader === undefined || leader < 0)) return void this.#retryLater()
    }
    this.#cutSoon()
  }

  async #retryLater(): Promise<void> {
    await this.#cluster.pause(5)
    if (!this.#closed) this.#cutSoon()
  }

  async #ask(node: number): Promise<void> {
    const state = { stale: false }
    this.#asking.set(node, state)
    let failures = 0
    while (!this.#closed) {
      const mine = [...this.#followers].filter((follower) => this.#cluster.leaderOf(follower) === node)
      if (mine.length === 0) break
      state.stale = false
      try {
        const question = { ...MOST, places: placesOf(mine), waitMs: WAIT_MS }
        const answers = await this.#waiting.to(node).call(FETCH, question, 2 * WAIT_MS)
        failures = 0
        await this.#deliver(mine, answers)
      } catch {
        if (this.#closed) break
        if (state.stale) continue
        await this.#cluster.pause(failures++)
        await this.#cluster.refresh().catch(() => {})
      }
    }
    this.#asking.delete(node)
    if (!this.#closed && this.#followers.size > 0 && this.#hasUnasked()) this.#cutSoon()
  }

  #hasUnasked(): boolean {
    return [...this.#followers].some((follower) => !this.#asking.has(this.#cluster.leaderOf(follower) ?? -1))
  }

  async #deliver(mine: readonly Follower[], answers: readonly FetchAnswer[]): Promise<void> {
    let moved = false
    let damage: Error | undefined
    for (const answer of answers) {
      for (const follower of mine) {
        if (follower.stopped || follower.topic !== answer.topic || follower.partition !== answer.partition) continue
        if (answer.code === Code.OFFSET_OUT_OF_RANGE) {
          follower.next = await this.#nearest(follower, follower.next).catch(() => follower.next)
          continue
        }
        if (answer.code !== Code.NONE) {
          moved = true
          continue
        }
        try {
          const chunk = chunkOf(answer, follower.next)
          if (chunk.records.length > 0 || chunk.next > follower.next) follower.onChunk(chunk)
          follower.next = chunk.next
        } catch (error) {
          // It is asked for again; the others go on meanwhile.
          damage = error as Error
        }
      }
    }
    if (damage !== undefined) throw damage
    if (!moved) return
    await sleep(this.#cluster.clock, 20, this.#cluster.over).catch(() => {})
    await this.#cluster.refresh().catch(() => {})
    this.#cutSoon()
  }

  // ---- Offsets

  async #nearest(place: Place, offset: number): Promise<number> {
    const { start, end } = await this.range(place)
    return offset < start ? start : Math.min(offset, end)
  }

  #offset(place: Place, time: number): Promise<number> {
    return this.#cluster.patiently(`looking at ${place.topic}/${place.partition}`, async () => {
      const leader = await this.#leaderOf(place)
      if (leader === undefined) return undefined
      const { code, offset } = await this.#once.to(leader).call(LIST_OFFSETS, { ...place, time })
      refuse({ ...place, code })
      return code === Code.NONE ? offset : undefined
    })
  }
}

const EARLIEST = -2
const LATEST = -1

/** A broker answers each place once: where several follow one, from where the last of them is. */
function placesOf(followers: readonly Follower[]): readonly FetchPlace[] {
  const places = new Map<string, FetchPlace>()
  for (const { topic, partition, next } of followers) {
    const key = `${topic}/${partition}`
    const known = places.get(key)
    if (known === undefined || next < known.from) places.set(key, { topic, partition, from: next })
  }
  return [...places.values()]
}

function chunkOf(answer: FetchAnswer, from: number): Chunk {
  const { records, next } = decodeBatches(answer.batches, from, answer.aborted)
  return { from, records, next, range: { start: answer.start, end: answer.end } }
}

function refuse({ code, topic, partition }: Place & { readonly code: number }): void {
  if (code !== Code.NONE && (meaningOf(code) === 'forbidden' || meaningOf(code) === 'refused'))
    throw refused(`${topic}/${partition}`, explain(code))
}
