// Another process that uses the file, and does what it is told.
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Calls } from '../programs/peer'

const PROGRAM = fileURLToPath(new URL('../programs/peer.ts', import.meta.url))
const FROM_SOURCE = ['--import', 'tsx', '--conditions=@tasks/source']

export interface Peer {
  readonly pid: number
  /** Calls a function of programs/peer.ts over there. */
  call<K extends keyof Calls>(name: K, ...args: Parameters<Calls[K]>): Promise<Awaited<ReturnType<Calls[K]>>>
  kill(signal: NodeJS.Signals): void
  readonly exited: Promise<unknown>
}

export async function startPeer(path: string, options: { readonly uid?: number } = {}): Promise<Peer> {
  const child = fork(PROGRAM, [path], {
    execArgv: FROM_SOURCE,
    ...options,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const [ready] = (await Promise.race([once(child, 'message'), exited])) as [unknown]
  if (ready !== 'ready') throw new Error(`the peer ended with ${String(ready)}`)
  return {
    pid: child.pid!,
    call: caller(child),
    kill: (signal) => void child.kill(signal),
    exited,
  }
}

function caller(child: ChildProcess): Peer['call'] {
  let last = 0
  const pending = new Map<number, { resolve(value: never): void; reject(error: Error): void }>()
  child.on(
    'message',
    ({ id, value, error }: { id: number; value?: never; error?: { code: string; message: string } }) => {
      const call = pending.get(id)
      pending.delete(id)
      if (error) call?.reject(Object.assign(new Error(error.message), { code: error.code }))
      else call?.resolve(value!)
    },
  )
  child.on('exit', () => {
    for (const { reject } of pending.values()) reject(new Error('the peer has died'))
  })
  return (name, ...args) =>
    new Promise((resolve, reject) => {
      const id = ++last
      pending.set(id, { resolve, reject })
      child.send({ id, name, args })
    })
}
