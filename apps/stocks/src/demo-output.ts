// How the demo speaks: to a person, or with --json to a program, to whom stdout belongs.

export class DemoOutput {
  readonly #json: boolean
  #live = false

  constructor(json: boolean) {
    this.#json = json
  }

  /** A line of the story. */
  say(text = ''): void {
    this.settle()
    const stream = this.#json ? process.stderr : process.stdout
    stream.write(`${text}\n`)
  }

  /** A line that the next one replaces: on a terminal only. */
  live(text: string): void {
    if (this.#json || process.stdout.isTTY !== true) return
    process.stdout.write(`\r\u001b[2K${text.slice(0, (process.stdout.columns || 80) - 1)}`)
    this.#live = true
  }

  settle(): void {
    if (!this.#live) return
    process.stdout.write('\r\u001b[2K')
    this.#live = false
  }

  /** How it ended, if not well: on stderr, and for a program as its document too. */
  fail(code: string | undefined, message: string, stack?: string): void {
    this.settle()
    process.stderr.write(`demo: ${stack ?? message}${code === undefined ? '' : ` (${code})`}\n`)
    if (this.#json) this.document({ error: code === undefined ? { message } : { code, message } })
  }

  document(document: unknown): void {
    process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`)
  }
}

export function bar(done: number, total: number): string {
  const width = 24
  const filled = total === 0 ? 0 : Math.round((width * done) / total)
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}
