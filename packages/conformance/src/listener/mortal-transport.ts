// The connection of a process that dies at one of its calls. What it has begun is not ended, nothing is given back, and nothing more is heard of it.
import type { Send, SendOutcome, Settlement, Space, Transport } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import { override } from '../override'

/** At the nth call that changes something (a commit, or what became of tasks), counted from 1: before it has an effect, or after. */
export interface Crash {
  readonly at: number
  readonly how: 'lost' | 'unanswered'
}

export interface MortalTransport {
  readonly transport: Transport
  /** Resolves when it has died; without a crash, never. */
  readonly died: Promise<void>
}

/** @param kill what the death of the process does to the connection */
export function mortal(connection: Transport, crash: Crash | undefined, kill: () => unknown): MortalTransport {
  if (crash === undefined) return { transport: connection, died: new Promise(() => {}) }
  const death = new Death(crash, kill)
  const open: Transport['open'] = async (options) => mortalSpace(await connection.open(options), death)
  return { transport: override(connection, { open }), died: death.came }
}

class Death {
  readonly came: Promise<void>
  readonly #crash: Crash
  readonly #kill: () => unknown
  #come: () => void = () => undefined
  #calls = 0
  #isDead = false

  constructor(crash: Crash, kill: () => unknown) {
    this.#crash = crash
    this.#kill = kill
    this.came = new Promise((resolve) => (this.#come = resolve))
  }

  refuseIfDead(): void {
    if (this.#isDead) throw new TaskError('TASKS_CLOSED', 'the process of this connection is dead')
  }

  async call(make: () => Promise<void>): Promise<void> {
    this.refuseIfDead()
    if (++this.#calls !== this.#crash.at) return make()
    if (this.#crash.how === 'unanswered') await make()
    this.#isDead = true
    void Promise.resolve(this.#kill()).catch(() => undefined)
    this.#come()
    this.refuseIfDead()
  }
}

function mortalSpace(space: Space, death: Death): Space {
  return override(space, {
    async send(batch: readonly Send[]): Promise<readonly SendOutcome[]> {
      death.refuseIfDead()
      return space.send(batch)
    },
    consume(options) {
      const consumer = space.consume(options)
      return override(consumer, {
        settle: (settlements: readonly Settlement[], sends: readonly Send[]) =>
          death.call(() => consumer.settle(settlements, sends)),
      })
    },
    own(options) {
      const host = space.own(options)
      return override(host, {
        run: (onOwned, signal) =>
          host.run(
            (session) => onOwned(override(session, { commit: (commit) => death.call(() => session.commit(commit)) })),
            signal,
          ),
      })
    },
  })
}
