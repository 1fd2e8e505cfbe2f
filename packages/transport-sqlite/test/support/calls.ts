// Calls between two processes, both ways: answers, errors and abort signals come as they would in one.
import { TaskError } from '@tasks/core/adapter'

export interface Port {
  send(message: object, sent: (error: Error | null) => void): void
  on(event: 'message', listener: (message: never) => void): void
}

type Functions = Readonly<Record<string, (...args: never[]) => unknown>>

type Message =
  | { readonly type: 'call'; readonly id: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly type: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: Thrown }
  | { readonly type: 'abort'; readonly signal: number; readonly error: Thrown }

interface Thrown {
  readonly code: string | undefined
  readonly message: string
  readonly details: object | undefined
}

/** Stands for a signal on its way. */
interface SignalMark {
  readonly signal: number
}

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

export class Calls {
  readonly #port: Port
  readonly #functions: Functions
  readonly #pending = new Map<number, Pending>()
  readonly #controllers = new Map<number, AbortController>()
  #last = 0
  #over: Error | undefined

  /** @param functions what the other side may call */
  constructor(port: Port, functions: Functions) {
    this.#port = port
    this.#functions = functions
    port.on('message', (message: Message) => {
      if (message.type === 'call') void this.#answer(message)
      else if (message.type === 'abort') this.#controllers.get(message.signal)?.abort(errorOf(message.error))
      else this.#answered(message)
    })
  }

  async call(name: string, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#over !== undefined) throw this.#over
    const id = ++this.#last
    const forget: (() => void)[] = []
    const answer = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    const sent = args.map((arg) => (arg instanceof AbortSignal ? this.#mark(arg, forget) : arg))
    this.#send({ type: 'call', id, name, args: sent })
    try {
      return await answer
    } finally {
      for (const each of forget) each()
    }
  }

  /** The other side is gone: nothing is answered any more. */
  end(error: Error): void {
    this.#over = error
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }

  #mark(signal: AbortSignal, forget: (() => void)[]): SignalMark {
    const id = ++this.#last
    const tell = (): void => this.#send({ type: 'abort', signal: id, error: thrownOf(signal.reason) })
    // The other side has to know of it first.
    if (signal.aborted) queueMicrotask(tell)
    signal.addEventListener('abort', tell, { once: true })
    forget.push(() => signal.removeEventListener('abort', tell))
    return { signal: id }
  }

  async #answer({ id, name, args }: Message & { readonly type: 'call' }): Promise<void> {
    const marks: number[] = []
    const given = args.map((arg) => {
      if (typeof arg !== 'object' || arg === null || typeof (arg as SignalMark).signal !== 'number') return arg
      const controller = new AbortController()
      this.#controllers.set((arg as SignalMark).signal, controller)
      marks.push((arg as SignalMark).signal)
      return controller.signal
    })
    let answer: Message
    try {
      answer = { type: 'answer', id, value: await this.#functions[name]!(...(given as never[])) }
    } catch (error) {
      answer = { type: 'answer', id, error: thrownOf(error) }
    }
    for (const mark of marks) this.#controllers.delete(mark)
    this.#send(answer)
  }

  /** What cannot be sent goes to a process that is dead. */
  #send(message: Message): void {
    this.#port.send(message, (error) => {
      if (error !== null && message.type === 'call') this.#pending.get(message.id)?.reject(error)
    })
  }

  #answered({ id, value, error }: Message & { readonly type: 'answer' }): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) pending?.resolve(value)
    else pending?.reject(errorOf(error))
  }
}

export function thrownOf(error: unknown): Thrown {
  const { code, message = String(error), details } = (error ?? {}) as Partial<TaskError>
  return { code, message, details }
}

export function errorOf({ code, message, details }: Thrown): Error {
  if (code === undefined) return new Error(message)
  return new TaskError(code as 'TASKS_UNAVAILABLE', message, details === undefined ? {} : { details: { ...details } })
}
