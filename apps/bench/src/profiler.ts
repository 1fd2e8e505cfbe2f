// Where the time of a round went, by function and by file of the sources. It runs inside the round's process, so that it sees the measured part
// only, without start and warm-up.
import { readFileSync, writeFileSync } from 'node:fs'
import { Session, type Profiler as Protocol } from 'node:inspector'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

export interface Share {
  readonly where: string
  /** Of the CPU time, idle time not counted. */
  readonly share: number
}

export interface Profile {
  readonly cpuSeconds: number
  readonly functions: readonly Share[]
  readonly files: readonly Share[]
}

const INTERVAL_MICROS = 200

export class Profiler {
  readonly #session = new Session()
  #running = false

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
  const functions = new Map<string, number>()
  const files = new Map<string, number>()
  const maps = new SourceMaps()
  let total = 0
  for (const { id, callFrame } of nodes) {
    const self = micros.get(id) ?? 0
    const name = nameOf(callFrame)
    if (self === 0 || name === '(idle)') continue
    total += self
    const { file, line } = maps.sourceOf(callFrame)
    const where = file === '' ? name : `${name}  ${file}:${line}`
    functions.set(where, (functions.get(where) ?? 0) + self)
    files.set(file || name, (files.get(file || name) ?? 0) + self)
  }
  const sharesOf = (times: ReadonlyMap<string, number>): Share[] =>
    [...times].map(([where, self]) => ({ where, share: self / total })).sort((a, b) => b.share - a.share)
  return { cpuSeconds: total / 1e6, functions: sharesOf(functions).slice(0, 30), files: sharesOf(files).slice(0, 20) }
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
    return { file: entry.originalSource.replace(/^.*?(?:packages|apps)\//, ''), line: entry.originalLine + 1 }
  }
}

function load(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')))
  } catch {
    return undefined
  }
}
