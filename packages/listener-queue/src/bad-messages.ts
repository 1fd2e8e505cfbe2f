// Messages that cannot be read, or not be handled. Each is left to its lease: it comes again when that is over, and holds up nobody until then. In the end it is given to whoever asked for such
// messages, and its queue forgets it.
import { stderrLogger, type Logger } from '@tasks/core'
import type { QueueDriver, QueueMessage } from './queue-driver'

export interface BadMessageOptions {
  /**
   * Called with a message for which everything failed when it was handed out for the last time. When it has returned, the queue forgets the message; if it throws, the message comes again. Default:
   * none, and a message comes again for as long as its queue keeps it.
   */
  readonly giveUp?: (message: BadMessage) => unknown
  /** How often a message is handed out before that. Default 10. */
  readonly maxDeliveries?: number
  /** Is told each time. Default: stderr. */
  readonly logger?: Logger
}

export interface BadMessage {
  readonly id: string
  readonly body: string
  readonly deliveries: number
  /** Why, this last time. */
  readonly error: unknown
}

const MAX_DELIVERIES = 10

export class BadMessages {
  readonly #acknowledge: QueueDriver['acknowledge']
  readonly #giveUp: BadMessageOptions['giveUp']
  readonly #maxDeliveries: number
  readonly #logger: Logger

  constructor(driver: QueueDriver, options: BadMessageOptions) {
    this.#acknowledge = (token) => driver.acknowledge(token)
    this.#giveUp = options.giveUp
    this.#maxDeliveries = options.maxDeliveries ?? MAX_DELIVERIES
    this.#logger = options.logger ?? stderrLogger()
  }

  /** Whether nobody lived to say how it went the last time: it is not tried once more. */
  isLost({ deliveries }: QueueMessage): boolean {
    return this.#giveUp !== undefined && deliveries > this.#maxDeliveries
  }

  /** Never throws: the message is still there if this fails. */
  async setAside({ id, body, deliveries, token }: QueueMessage, error: unknown): Promise<void> {
    const facts = { message: id, deliveries }
    if (this.#giveUp === undefined || deliveries < this.#maxDeliveries)
      return this.#logger.error({ error, ...facts }, 'a message could not be read or handled: it comes again')
    try {
      await this.#giveUp({ id, body, deliveries, error })
      await this.#acknowledge(token)
      this.#logger.error({ error, ...facts }, 'a message could not be read or handled: it was given up')
    } catch (failure) {
      this.#logger.error({ error: failure, ...facts }, 'a message could not be given up: it comes again')
    }
  }
}
