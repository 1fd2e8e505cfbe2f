// What workers say of tasks, as somebody has heard it, against what their functions did. Who listens hears no event twice, and all that are stored: event-log.ts.
//
// W1  what is said to have ended has ended like that       W2  what one worker says of an attempt comes in its order
// W3  of what is durable none is missing that the pipeline knows of, and each is heard before what the pipeline says
import type { CloudEvent } from '@tasks/core'
import { EACH_TASK } from '@tasks/core/src/engine/dispatch'
import type { Recording } from './recording'
import type { Happening } from './history'
import { INSTEAD } from './pipelines'

type Heard = Extract<Happening, { what: 'heard' }>

const WORKER = 'dev.tasks.worker.'

/** What is to be noted of an event that is about an attempt at a task whose calls are noted. */
export function heardOf({ type, source, subject, rootid, run, data }: CloudEvent): Heard | undefined {
  const { attempt, task, error } = data as {
    readonly attempt?: number
    readonly task?: string
    readonly error?: { readonly code: string }
  }
  if (attempt === undefined || rootid === undefined || isUnnoted(task)) return undefined
  const key = `${rootid}:${run}:${subject.slice(rootid.length)}`
  return { what: 'heard', type, source, attempt, key, hasNoArguments: error?.code === 'TASKS_NOT_FOUND' }
}

/** Calls of it are not noted: it is not the program's own. */
const isUnnoted = (task = ''): boolean => task === INSTEAD || task === EACH_TASK || task.startsWith('listen:')

/** Ends of an attempt that has started. One that is delivered twice may run twice at one worker, even at once. */
const ENDS: ReadonlySet<string> = new Set(['finished', 'error-task', 'error-storing-result', 'error-internal'])

/** What one worker has said of one attempt. */
interface Said {
  /** Started, and not ended. */
  open: number
  failed: number
}

/** Whether this may come now. */
function follows(said: Said, what: string): boolean {
  if (what === 'started') said.open++
  else if (what === 'retrying' && said.failed > 0) said.failed--
  else if (what === 'retrying' || ENDS.has(what)) said.open--
  if (what === 'error-task') said.failed++
  return said.open >= 0
}

export function checkWorkerEvents({ history, scenario }: Recording): string[] {
  if (scenario.workerEvents === undefined) return []
  const isDurable = scenario.workerEvents === 'durable'
  const broken: string[] = []
  /** By attempt: what its function did, and what was heard of it. */
  const did = new Map<string, Set<string>>()
  const saidBy = new Map<string, Said>()
  const scheduled = new Set<string>()
  const retried = new Set<string>()
  const note = (name: string, what: string): unknown => did.set(name, (did.get(name) ?? new Set()).add(what))
  const hear = ({ type, source, key, attempt, hasNoArguments }: Heard): void => {
    const name = `${key} ${attempt}`
    const isWorkers = type.startsWith(WORKER)
    const what = type.slice(type.lastIndexOf('.') + 1)
    const has = (done: string): boolean => did.get(name)?.has(done) === true
    if (!isWorkers) {
      if (what === 'retried') retried.add(`${key} ${attempt + 1}`)
      const needed = what === 'completed' ? 'told finished' : what === 'retried' ? 'told retrying' : undefined
      if (isDurable && needed !== undefined && !has(needed))
        broken.push(`W3: ${name} was ${what}, and no worker has said so`)
      return
    }
    note(name, `told ${what}`)
    if (what === 'scheduled') return void scheduled.add(name)
    if (what === 'finished' && !has('returned')) broken.push(`W1: ${name} is said to have finished, and has not`)
    // It may have been cancelled, or have timed out, and return all the same; or have failed without a call, since its run was taken away with what it was to be called with (seeds 6353, 8364).
    if (hasNoArguments) note(name, 'had no arguments')
    if ((what === 'error-task' || what === 'retrying') && !has('started') && !has('had no arguments'))
      broken.push(`W1: ${name} is said to have failed, and has not started`)
    const about = `${source} ${name}`
    const said = saidBy.get(about) ?? { open: 0, failed: 0 }
    saidBy.set(about, said)
    if (!follows(said, what)) broken.push(`W2: ${what} of ${name} is said before it has started`)
  }
  for (const { happening } of history.entries) {
    if (happening.what === 'heard') hear(happening)
    if (happening.what === 'started') note(`${happening.key} ${happening.attempt}`, 'started')
    if (happening.what === 'finished')
      note(`${happening.key} ${happening.attempt}`, happening.hasFailed ? 'failed' : 'returned')
  }
  if (scenario.level !== 'tasks') return broken
  for (const name of retried)
    if (isDurable && !scheduled.has(name)) broken.push(`W3: that ${name} waits for its time is not said`)
  for (const name of scheduled)
    if (!retried.has(name) && !name.endsWith(' 1')) broken.push(`W1: ${name} is said to wait, and does not`)
  return broken
}
