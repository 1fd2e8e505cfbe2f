// Where the time of a round went, by function and by file of the sources. It runs inside the round's process, so that it sees the measured part
// only, without start and warm-up.
import { readFileSync, writeFileSync } from 'node:fs'
import { Session, type Profiler as Protocol } from 'node:inspector'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

export interface Share {
  readonly where: string
  /** Of the time in which the main thread was not idle. */
  readonly share: number
}

export interface Profile {
  readonly busySeconds: number
  readonly functions: readonly Share[]
  readonly files: readonly Share[]
  /** With what they called. */
  readonly inclusive: readonly Share[]
}

const INTERVAL_MICROS = 200

export class Profiler {
  readonly #session = new Session()
  #running = false

  get isRunning(): boolean {
    return this.#running
  }

  /** A second start changes nothing. */
  start(): void {
    if (this.#running) return
    this.#running = true
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.setSamplingInterval', { interval: INTERVAL_MICROS })
    this.#session.post('Profiler.start')
  }

  /** @param file where the whole profile goes, for the browser's developer tools */
  async stop(file: string): Promise<Profile> {
    const profile = await new Promise<Protocol.Profile>((resolve, reject) =>
      this.#session.post('Profiler.stop', (error, answer) =>
        error === null ? resolve(answer.profile) : reject(error),
      ),
    )
    this.#session.disconnect()
    writeFileSync(file, JSON.stringify(profile))
    return summarizeProfile(profile)
  }
}

function summarizeProfile({ nodes, samples = [], timeDeltas = [] }: Protocol.Profile): Profile {
  const micros = new Map<number, number>()
  samples.forEach((id, i) => micros.set(id, (micros.get(id) ?? 0) + (timeDeltas[i] ?? 0)))
  const nodeOf = new Map(nodes.map((node) => [node.id, node]))
  const maps = new SourceMaps()
  const functions = new Times()
  const files = new Times()
  const inclusive = new Times()
  let total = 0
  /** Returns the time of the node and of all that it called. */
  const visit = (node: Protocol.ProfileNode, callers: readonly string[]): number => {
    const name = nameOf(node.callFrame)
    if (name === '(idle)') return 0
    const { file, line } = maps.sourceOf(node.callFrame)
    const where = file === '' ? name : `${name}  ${file}:${line}`
    const self = micros.get(node.id) ?? 0
    total += self
    functions.add(where, self)
    files.add(file || name, self)
    const called = [...callers, where]
    let sum = self
    for (const child of node.children ?? []) sum += visit(nodeOf.get(child)!, called)
    // A recursive function counts once.
    if (!callers.includes(where)) inclusive.add(where, sum)
    return sum
  }
  visit(nodes[0]!, [])
  return {
    busySeconds: total / 1e6,
    functions: functions.shares(total, 30),
    files: files.shares(total, 20),
    inclusive: inclusive.shares(total, 45),
  }
}

class Times {
  readonly #micros = new Map<string, number>()

  add(where: string, micros: number): void {
    if (micros > 0) this.#micros.set(where, (this.#micros.get(where) ?? 0) + micros)
  }

  shares(total: number, most: number): readonly Share[] {
    const shares = [...this.#micros].map(([where, micros]) => ({ where, share: micros / total }))
    return shares.sort((a, b) => b.share - a.share).slice(0, most)
  }
}

// V8 calls everything inside a native add-on by one name that it finds there.
function nameOf({ functionName, url }: Protocol.ProfileNode['callFrame']): string {
  if (url === '' && functionName === 'backup') return '(SQLite)'
  return functionName || '(anonymous)'
}

class SourceMaps {
  readonly #maps = new Map<string, SourceMap | undefined>()

  sourceOf({ url, lineNumber, columnNumber }: { url: string; lineNumber: number; columnNumber: number }): {
    file: string
    line: number
  } {
    if (!url.startsWith('file:')) return { file: url, line: lineNumber + 1 }
    if (!this.#maps.has(url)) this.#maps.set(url, load(url))
    const entry = this.#maps.get(url)?.findEntry(lineNumber, columnNumber)
    if (entry === undefined || !('originalSource' in entry))
      return { file: url.slice(url.lastIndexOf('/') + 1), line: lineNumber + 1 }
    return { file: entry.originalSource.replace(/^(?:..\/)*(?:packages\/)?/, ''), line: entry.originalLine + 1 }
  }
}

function load(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')))
  } catch {
    return undefined
  }
}
