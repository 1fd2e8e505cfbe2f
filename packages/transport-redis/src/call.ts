// One command as it goes to the server. ioredis encodes an argument of bytes in three buffers, and joins them at the end: with a thousand
// messages in a call that is most of what a call costs. Here it is one buffer, written once.
import { Command } from 'ioredis'

export type Argument = string | number | Uint8Array

export class Call extends Command {
  readonly #encoded: Buffer

  /** What it answers with are buffers. */
  constructor(name: string, args: readonly Argument[]) {
    super(name, [], { replyEncoding: null })
    this.#encoded = encode(name, args)
  }

  get byteLength(): number {
    return this.#encoded.length
  }

  override toWritable(): Buffer {
    return this.#encoded
  }
}

/** The array of bulk strings that the server expects. What lies between two arguments of bytes is one string, and written as one. */
function encode(name: string, args: readonly Argument[]): Buffer {
  const pieces: (string | Uint8Array)[] = []
  let text = `*${args.length + 1}${bulk(name)}`
  let total = 0
  let isAscii = true
  const endText = (): void => {
    total += isAscii ? text.length : Buffer.byteLength(text)
    pieces.push(text)
  }
  for (const argument of args) {
    if (typeof argument === 'object') {
      text += `\r\n$${argument.byteLength}\r\n`
      endText()
      pieces.push(argument)
      total += argument.byteLength
      text = ''
      isAscii = true
    } else if (typeof argument === 'number') text += bulk(String(argument))
    else {
      const length = Buffer.byteLength(argument)
      if (length !== argument.length) isAscii = false
      text += `\r\n$${length}\r\n${argument}`
    }
  }
  text += '\r\n'
  endText()
  const buffer = Buffer.allocUnsafe(total)
  let at = 0
  for (const piece of pieces) {
    if (typeof piece === 'string') at += buffer.write(piece, at)
    else {
      buffer.set(piece, at)
      at += piece.byteLength
    }
  }
  return buffer
}

/** Of ASCII; it begins with the end of the line before. */
function bulk(text: string): string {
  return `\r\n$${text.length}\r\n${text}`
}
