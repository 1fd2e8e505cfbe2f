// Which process this is, so that its neighbours on the same machine can see at once that it has died. For stores that do not tell.
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

export interface ProcessIdentity {
  /** Where `pid` means something: the host, its boot, and the pid namespace, since containers of one host share none. */
  readonly machine: string
  /** Which start of the kernel this is; some containers are told one of their own. Empty where the system does not tell. */
  readonly boot: string
  readonly pid: number
  /** The start time in clock ticks, since pids are used again; empty where the system does not tell. */
  readonly started: string
}

export function thisProcess(): ProcessIdentity {
  const boot = attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) ?? ''
  const pids = attempt(() => readlinkSync('/proc/self/ns/pid'))
  const machine = [hostname(), boot, pids].filter((part) => part !== undefined && part !== '').join(' ')
  return { machine, boot, pid: process.pid, started: stat(process.pid)?.started ?? '' }
}

/** Whether a process of this machine is certainly gone. */
export function isGone({ pid, started }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // Anything else (EPERM) says that it exists.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true
  }
  const found = stat(pid)
  if (found === undefined || started === '') return false
  // Z and X: dead, and not yet collected by its parent.
  return found.started !== started || found.state === 'Z' || found.state === 'X'
}

function stat(pid: number): { readonly state: string; readonly started: string } | undefined {
  return attempt(() => {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses, and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', started: fields[19] ?? '' }
  })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
