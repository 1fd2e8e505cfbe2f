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

  override toWritable(): Buffer {
    return this.#encoded
  }
}

/** The array of bulk strings that the server expects. */
function encode(name: string, args: readonly Argument[]): Buffer {
  const lengths = new Array<number>(args.length)
  let total = header(args.length + 1) + bulk(name.length)
  const texts = args.map((argument, i) => {
    const text = typeof argument === 'number' ? String(argument) : argument
    const length = typeof text === 'string' ? Buffer.byteLength(text) : text.byteLength
    lengths[i] = length
    total += bulk(length)
    return text
  })
  const buffer = Buffer.allocUnsafe(total)
  let at = buffer.write(`*${args.length + 1}\r\n$${name.length}\r\n${name}\r\n`, 'latin1')
  texts.forEach((text, i) => {
    const length = lengths[i]!
    at += buffer.write(`$${length}\r\n`, at, 'latin1')
    if (typeof text !== 'string') buffer.set(text, at)
    else buffer.write(text, at, text.length === length ? 'latin1' : 'utf8')
    at += length
    buffer[at++] = 13
    buffer[at++] = 10
  })
  return buffer
}

function bulk(length: number): number {
  return header(length) + length + 2
}

function header(count: number): number {
  return 3 + String(count).length
}
