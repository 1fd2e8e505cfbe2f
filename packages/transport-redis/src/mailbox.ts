// What other processes say to this one, in one namespace. Each message begins with a line that says for whom it is.
//
//   b <waiter> <batch> <ready key>   a batch for a receive that waits      l <waiter>   … which is to look for itself
//   i <claim> <position>             inbox messages behind that position   m <claim>    … there are more than are pushed
//   r <number>                       a reply
import type { Bytes } from '@tasks/core'
import type { Keys } from './keys'
import type { Messages } from './messages'

/** A receive that waits. */
export interface Waiter {
  take(batch: string, readyKey: string, value: Buffer): void
  look(): void
}

/** A session that follows its inbox. */
export interface Follower {
  push(position: number, frames: Buffer): void
  more(): void
}

const LINE_END = 10

export class Mailbox {
  readonly #channel: string
  readonly connection: string
  readonly waiters = new Map<string, Waiter>()
  readonly followers = new Map<string, Follower>()
  readonly #replies = new Map<string, (body: Bytes) => void>()
  #lastReply = 0
  #stop: () => void = () => {}

  /** @param connection names this transport among all that use the server */
  static async open(messages: Messages, keys: Keys, connection: string): Promise<Mailbox> {
    const mailbox = new Mailbox(keys.mailbox(connection), connection)
    const subscription = messages.subscribe(mailbox.#channel, (message) => mailbox.#sort(message))
    const forget = messages.onGap(mailbox.#channel, () => mailbox.#lookAll())
    mailbox.#stop = () => {
      forget()
      subscription.stop()
    }
    await subscription.ready.catch((error: unknown) => {
      mailbox.#stop()
      throw error
    })
    return mailbox
  }

  private constructor(channel: string, connection: string) {
    this.#channel = channel
    this.connection = connection
  }

  get channel(): string {
    return this.#channel
  }

  openReplies(onReply: (body: Bytes) => void): { readonly address: string; close(): void } {
    const number = String(++this.#lastReply)
    this.#replies.set(number, onReply)
    return { address: `${this.connection}.${number}`, close: () => void this.#replies.delete(number) }
  }

  close(): void {
    this.#stop()
  }

  #sort(message: Buffer): void {
    const end = message.indexOf(LINE_END)
    const [kind = '', who = '', ...rest] = message.toString('latin1', 0, end).split(' ')
    const body = message.subarray(end + 1)
    switch (kind) {
      case 'b':
        return this.waiters
          .get(who)
          ?.take(rest[0]!, message.toString('utf8', 4 + who.length + rest[0]!.length, end), body)
      case 'l':
        return this.waiters.get(who)?.look()
      case 'i':
        return this.followers.get(who)?.push(Number(rest[0]), body)
      case 'm':
        return this.followers.get(who)?.more()
      case 'r': {
        const onReply = this.#replies.get(who)
        // A handler that throws is the caller's bug, and not to be ours.
        if (onReply) queueMicrotask(() => this.#replies.get(who) === onReply && onReply(body))
      }
    }
  }

  #lookAll(): void {
    for (const waiter of this.waiters.values()) waiter.look()
    for (const follower of this.followers.values()) follower.more()
  }
}

/** The channel's message for a reply, if the address is one. */
export function replyTo(
  keys: Keys,
  address: string,
  body: Bytes,
): { readonly channel: string; readonly message: Buffer } | undefined {
  const [connection, number] = address.split('.')
  if (connection === undefined || number === undefined) return undefined
  return { channel: keys.mailbox(connection), message: Buffer.concat([Buffer.from(`r ${number}\n`), body]) }
}
