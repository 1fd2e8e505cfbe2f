// A contender's worker in a process of its own.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Closable, ContenderName, ContenderOptions, Ran } from './contender'

export interface ContenderProcessOptions extends ContenderOptions {
  readonly name: ContenderName
}

export type ContenderRequest = 'total' | 'cpu' | 'tallies' | 'close'
export interface ContenderAnswers {
  readonly ready: true
  readonly total: number
  /** In seconds. */
  readonly cpu: number
  readonly tallies: Readonly<Record<keyof Ran, readonly number[]>>
}

export interface ContenderProcess extends Closable {
  /** How many no-op tasks it has run. */
  total(): Promise<number>
  cpuSeconds(): Promise<number>
  /** Adds what it ran. */
  tellTallies(ran: Ran): Promise<void>
}

export async function startContenderProcess(options: ContenderProcessOptions): Promise<ContenderProcess> {
  // All programs are compiled into one folder.
  const child = fork(fileURLToPath(new URL('contender-program.mjs', import.meta.url)), [], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const died = ended.then(() => {
    throw new Error('the process of a worker ended')
  })
  died.catch(() => {})
  /** Answers come in the order of their questions. */
  const waiting = new Map<string, ((value: never) => void)[]>()
  child.on('message', (answer) => {
    for (const [question, value] of Object.entries(answer as object)) waiting.get(question)?.shift()?.(value as never)
  })
  const answerTo = <Q extends keyof ContenderAnswers>(question: Q): Promise<ContenderAnswers[Q]> => {
    const answer = new Promise<ContenderAnswers[Q]>((resolve) => {
      const others = waiting.get(question)
      if (others === undefined) waiting.set(question, [resolve])
      else others.push(resolve)
    })
    return Promise.race([answer, died])
  }
  const ask = <Q extends keyof ContenderAnswers & ContenderRequest>(question: Q): Promise<ContenderAnswers[Q]> => {
    child.send(question)
    return answerTo(question)
  }
  child.send(options)
  await answerTo('ready')
  return {
    total: () => ask('total'),
    cpuSeconds: () => ask('cpu'),
    async tellTallies(ran) {
      const { noop, step } = await ask('tallies')
      ran.noop.addCounts(noop)
      ran.step.addCounts(step)
    },
    async close() {
      if (child.connected) child.send('close' satisfies ContenderRequest)
      await ended
    },
  }
}
