import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface PeerOptions {
  readonly url: string
  readonly namespace: string
  readonly lane: 'local' | 'queue'
  readonly label: string
}

export type PeerRequest = { readonly type: 'counts' } | { readonly type: 'close' }
export type PeerAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'counts'; readonly counts: Readonly<Record<string, number>> }

/** A worker in a process of its own. */
export interface Peer {
  /** How often each of its tasks has run. */
  counts(): Promise<Readonly<Record<string, number>>>
  /** Resolves when the process has ended. */
  close(): Promise<void>
  kill(): void
}

export async function startPeer(options: PeerOptions): Promise<Peer> {
  // Both programs are compiled into one folder.
  const child = fork(fileURLToPath(new URL('peer.mjs', import.meta.url)), [], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.send(options)
  await nextAnswer(child)
  return {
    async counts() {
      child.send({ type: 'counts' } satisfies PeerRequest)
      const answer = await nextAnswer(child)
      return answer.type === 'counts' ? answer.counts : {}
    },
    async close() {
      if (child.connected) child.send({ type: 'close' } satisfies PeerRequest)
      await ended
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

async function nextAnswer(child: ChildProcess): Promise<PeerAnswer> {
  const answer = await Promise.race([
    once(child, 'message').then(([message]) => message as PeerAnswer),
    once(child, 'exit').then(([code, signal]) => `a worker's process ended with ${signal ?? code}`),
  ])
  if (typeof answer === 'string') throw new Error(answer)
  return answer
}
