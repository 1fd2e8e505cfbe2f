// Where a command speaks. Answers go to stdout, everything else to stderr. With `--json` stdout is one JSON document,
// of an error too; only what ends the process at once leaves it empty. What comes bit by bit is one document a line.
import { exitCodes, type ExitCode } from './exit-codes'
import { printable } from './printable'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
}

/** A line of a picture. */
export interface Line {
  readonly text: string
  readonly style?: Style
}

type Stream = NodeJS.WriteStream

export class Terminal {
  readonly json: boolean
  /** What the shell is told in the end. */
  exitCode: ExitCode = exitCodes.ok
  readonly #out: Stream
  readonly #err: Stream
  #answered = false
  /** What is shown until the next picture, and over how many lines. */
  #live = ''
  #liveLines = 0

  constructor(json: boolean, out: Stream = process.stdout, err: Stream = process.stderr) {
    this.json = json
    this.#out = out
    this.#err = err
  }

  /** Whether a person watches: only then lines are rewritten. */
  get isLive(): boolean {
    return !this.json && this.#err.isTTY === true && process.env['TERM'] !== 'dumb'
  }

  /** The answer of the command: once. `text` is for people, `document` for `--json`. */
  answer(document: unknown, text: string | ((style: (style: Style, text: string) => string) => string)): void {
    if (this.#answered) throw new Error('a command answers once')
    this.#answered = true
    this.settle()
    if (this.json) this.#out.write(`${JSON.stringify(printable(document), undefined, 2)}\n`)
    else {
      const line = typeof text === 'string' ? text : text((style, x) => paint(this.#out, style, x))
      if (line !== '') this.#out.write(`${line}\n`)
    }
  }

  /** A line of an answer that comes bit by bit: with `--json` a document of its own. */
  print(document: unknown, text: string): void {
    this.#answered = true
    this.settle()
    this.#out.write(`${this.json ? JSON.stringify(printable(document)) : text}\n`)
  }

  get hasAnswered(): boolean {
    return this.#answered
  }

  /** A line beside the answer. */
  note(text: string, style?: Style): void {
    this.settle()
    this.#err.write(`${style === undefined ? text : paint(this.#err, style, text)}\n`)
  }

  /** A line, or several, that the next ones replace. Silent unless a person watches. */
  live(picture: string | readonly Line[]): void {
    if (!this.isLive) return
    const width = (this.#err.columns || 80) - 1
    const most = Math.max(1, (this.#err.rows || 24) - 1)
    const lines = typeof picture === 'string' ? [{ text: picture }] : picture
    const shown =
      lines.length <= most ? lines : [...lines.slice(0, most - 1), { text: `… ${lines.length - most + 1} more lines` }]
    const text = this.#painted(this.#err, shown, width)
    if (text === this.#live) return
    this.#err.write(this.#erased() + text)
    this.#live = text
    this.#liveLines = shown.length
  }

  /** Takes the live lines away. */
  settle(): void {
    if (this.#liveLines === 0) return
    this.#err.write(this.#erased())
    this.#live = ''
    this.#liveLines = 0
  }

  #erased(): string {
    return `\r\u001b[2K${'\u001b[1A\u001b[2K'.repeat(Math.max(0, this.#liveLines - 1))}`
  }

  /** The lines as an answer's text. */
  picture(lines: readonly Line[]): string {
    return this.#painted(this.#out, lines, Infinity)
  }

  #painted(stream: Stream, lines: readonly Line[], width: number): string {
    return lines
      .map(({ text, style }) => {
        const cut = text.length > width ? `${text.slice(0, width - 1)}…` : text
        return style === undefined ? cut : paint(stream, style, cut)
      })
      .join('\n')
  }
}

function paint(stream: Stream, style: Style, text: string): string {
  // https://no-color.org: present and not empty.
  if (stream.isTTY !== true || (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb') return text
  const [on, off] = CODES[style]
  return `\u001b[${on}m${text}\u001b[${off}m`
}
