// What can be wrong with a definition that came from elsewhere. Checks return what they find instead of throwing, and the way to it is put
// together on the way out: a definition of 250,000 chains without a flaw allocates nothing here.
import type { Step } from './definition'
import { TaskError } from './errors'
import { checkId, checkQueueName, checkTaskName } from './ids'
import { MAX_CHAIN, MAX_DEPTH, MAX_TASKS, MAX_TIME } from './plan'
import { resolveRetry, type RetryData } from './retry'

export const DEFINITION_VERSION = 1

/** Where and why a definition is refused. */
export interface Flaw {
  readonly path: string
  readonly why: string
}

const DOCUMENT_KEYS = ['v', 'steps', 'chain', 'input', 'state', 'inline', 'finally']

/** What is wrong with page 0 of a definition. */
export function documentFlaw(document: unknown): Flaw | undefined {
  if (!isObject(document)) return { path: '', why: 'must be an object' }
  const { v, steps, chain, input, state, inline, finally: last } = document
  if (v !== DEFINITION_VERSION) {
    return { path: '.v', why: `version ${show(v)} is not known; this program reads version ${DEFINITION_VERSION}` }
  }
  const unknown = unknownKey(document, DOCUMENT_KEYS)
  if (unknown !== undefined) return unknown
  if (!Array.isArray(steps)) return { path: '.steps', why: 'must be an array' }
  for (const [i, step] of steps.entries()) {
    const flaw = stepFlaw(step)
    if (flaw !== undefined) return within(`.steps[${i}]`, flaw)
  }
  if (inline !== undefined && inline !== 1) return { path: '.inline', why: 'must be 1' }
  const scope = scopeOf(steps as readonly Step[], Infinity)
  return (
    within('.chain', chainFlaw(chain, scope, 0)) ??
    (input === undefined ? undefined : within('.input', dataFlaw(input))) ??
    (state === undefined ? undefined : stateFlaw(state)) ??
    (last === undefined ? undefined : within('.finally', finallyFlaw(last, scope)))
  )
}

/**
 * What is wrong with a further page.
 * @param steps those of the definition
 * @param below the page may name lower ones than this
 */
export function pageFlaw(chains: unknown, steps: readonly Step[], below: number): Flaw | undefined {
  if (!Array.isArray(chains)) return { path: '', why: 'must be an array of chains' }
  return chainsFlaw(chains, scopeOf(steps, below), 1)
}

const STEP_KEYS = [
  'task',
  'open',
  'catch',
  'queue',
  'retry',
  'timeoutMs',
  'priority',
  'displayName',
  'taskId',
  'pauseAfter',
  'checkpoint',
]

function stepFlaw(step: unknown): Flaw | undefined {
  if (!isObject(step)) return { path: '', why: 'must be an object' }
  const unknown = unknownKey(step, STEP_KEYS)
  if (unknown !== undefined) return unknown
  const { task, open, catch: catches, queue, retry, timeoutMs, priority, displayName, taskId } = step
  const { pauseAfter, checkpoint } = step
  if (open !== undefined && open !== 1) return { path: '.open', why: `must be 1, not ${show(open)}` }
  if (catches !== undefined && catches !== 1) return { path: '.catch', why: `must be 1, not ${show(catches)}` }
  if (catches === 1 && open !== 1) return { path: '.catch', why: 'needs "open": the error is its first argument' }
  if (pauseAfter !== undefined && pauseAfter !== 1)
    return { path: '.pauseAfter', why: `must be 1, not ${show(pauseAfter)}` }
  if (checkpoint !== undefined && checkpoint !== 0)
    return { path: '.checkpoint', why: `must be 0, not ${show(checkpoint)}` }
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs > 0)) {
    return { path: '.timeoutMs', why: `must be a number above 0, not ${show(timeoutMs)}` }
  }
  if (priority !== undefined && !isCount(priority))
    return { path: '.priority', why: `must be an integer of at least 0, not ${show(priority)}` }
  if (displayName !== undefined && typeof displayName !== 'string')
    return { path: '.displayName', why: 'must be a string' }
  return (
    refusal('.task', () => checkTaskName(task as string)) ??
    (queue === undefined ? undefined : refusal('.queue', () => checkQueueName(queue as string))) ??
    (taskId === undefined ? undefined : refusal('.taskId', () => checkId('task id', taskId as string))) ??
    (retry === undefined ? undefined : refusal('.retry', () => checkRetryData(retry)))
  )
}

function checkRetryData(retry: unknown): void {
  if (!isObject(retry)) throw new TaskError('TASKS_OPTIONS', 'must be an object')
  const unknown = unknownKey(retry, ['maxRetries', 'delayMs', 'factor', 'maxDelayMs', 'jitter'])
  if (unknown !== undefined) throw new TaskError('TASKS_OPTIONS', unknown.why)
  for (const [key, value] of Object.entries(resolveRetry(retry as unknown as RetryData))) {
    if (retry[key] !== value) throw new TaskError('TASKS_OPTIONS', `${key} must be given`)
  }
}

function refusal(path: string, check: () => void): Flaw | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return { path, why: (error as Error).message }
  }
}

interface Scope {
  readonly steps: readonly Step[]
  /** Pages must have lower numbers than this. */
  readonly below: number
  /** How many more task entries are allowed. */
  left: number
  /** Task ids of the entries so far. */
  readonly taskIds: Set<string>
  /** Inside how many templates. */
  templates: number
}

function scopeOf(steps: readonly Step[], below: number): Scope {
  return { steps, below, left: MAX_TASKS, taskIds: new Set(), templates: 0 }
}

function chainFlaw(chain: unknown, scope: Scope, depth: number): Flaw | undefined {
  if (!Array.isArray(chain)) return { path: '', why: 'must be an array of entries' }
  if (chain.length === 0) return { path: '', why: 'has no entries' }
  if (chain.length > MAX_CHAIN)
    return { path: '', why: `has ${chain.length} entries; at most ${MAX_CHAIN} are allowed` }
  for (let i = 0; i < chain.length; i++) {
    const entry: unknown = chain[i]
    const flaw = Array.isArray(entry) ? taskFlaw(entry, scope, i === 0) : structureFlaw(entry, scope, depth)
    if (flaw !== undefined) return within(`[${i}]`, flaw)
  }
  return undefined
}

function taskFlaw(entry: readonly unknown[], scope: Scope, first: boolean): Flaw | undefined {
  const [index, args] = entry
  const step = isCount(index) ? scope.steps[index] : undefined
  if (step === undefined)
    return { path: '[0]', why: `must be the index of one of ${scope.steps.length} steps, not ${show(index)}` }
  if (entry.length > 2) return { path: '', why: `has ${entry.length} elements; a task entry has one or two` }
  if (--scope.left < 0) return { path: '', why: `is one of more than ${MAX_TASKS} task entries` }
  if (first && step.catch === 1) return { path: '', why: 'handles the errors of entries before it, and is the first' }
  const { taskId } = step
  if (taskId !== undefined) {
    if (scope.templates > 0) return { path: '', why: `has the task id ${show(taskId)} inside a fan-out` }
    if (scope.taskIds.has(taskId)) return { path: '', why: `has the task id ${show(taskId)} of an entry before it` }
    scope.taskIds.add(taskId)
  }
  return entry.length === 1 || typeof args === 'string' ? undefined : within('[1]', dataFlaw(args))
}

function finallyFlaw(entry: unknown, scope: Scope): Flaw | undefined {
  if (!Array.isArray(entry)) return { path: '', why: `must be a task entry, not ${show(entry)}` }
  const flaw = taskFlaw(entry, scope, true)
  if (flaw !== undefined) return flaw
  const { open, pauseAfter } = scope.steps[entry[0] as number]!
  if (open === 1) return { path: '', why: 'takes an upstream value, and there is none' }
  return pauseAfter === 1 ? { path: '', why: 'has nothing after it to pause before' } : undefined
}

function dataFlaw(data: unknown): Flaw | undefined {
  if (typeof data === 'string') return undefined
  if (isObject(data) && Object.keys(data).length === 1) {
    const { b64, ref } = data
    if (typeof b64 === 'string') return undefined
    if (Array.isArray(ref) && ref.length === 3 && typeof ref[0] === 'string' && isCount(ref[1]) && isCount(ref[2]))
      return undefined
  }
  return { path: '', why: 'must be a string, { "b64" } or { "ref": [name, bytes, crc32] }' }
}

/** Values of a state are merged by owners, who fetch nothing. */
function stateFlaw(state: unknown): Flaw | undefined {
  if (!isObject(state)) return { path: '.state', why: 'must be an object' }
  for (const [key, data] of Object.entries(state)) {
    const flaw = dataFlaw(data) ?? (isObject(data) && 'ref' in data ? { path: '', why: 'must be in place' } : undefined)
    if (flaw !== undefined) return within(`.state[${show(key)}]`, flaw)
  }
  return undefined
}

function structureFlaw(entry: unknown, scope: Scope, depth: number): Flaw | undefined {
  if (!isObject(entry)) return { path: '', why: `must be an entry, not ${show(entry)}` }
  if ('group' in entry) return groupFlaw(entry, scope, depth)
  if ('each' in entry) return eachFlaw(entry, scope, depth)
  if ('value' in entry) return unknownKey(entry, ['value']) ?? within('.value', dataFlaw(entry['value']))
  if ('sleep' in entry) return sleepFlaw(entry, 'sleep')
  if ('sleepUntil' in entry) return sleepFlaw(entry, 'sleepUntil')
  if ('event' in entry) return eventFlaw(entry)
  const keys = Object.keys(entry).slice(0, 5).map(show)
  return { path: '', why: `is an entry of unknown kind: ${keys.join(', ') || '{}'}` }
}

function sleepFlaw(entry: Record<string, unknown>, key: 'sleep' | 'sleepUntil'): Flaw | undefined {
  const unknown = unknownKey(entry, [key, 'pauseAfter'])
  if (unknown !== undefined) return unknown
  const ms = entry[key]
  if (!isCount(ms) || ms > MAX_TIME)
    return { path: `.${key}`, why: `must be an integer from 0 to ${MAX_TIME}, not ${show(ms)}` }
  return parallelFlaw(entry)
}

function eventFlaw(entry: Record<string, unknown>): Flaw | undefined {
  const unknown = unknownKey(entry, ['event', 'pipeline', 'match', 'timeoutMs', 'pauseAfter'])
  if (unknown !== undefined) return unknown
  const { event, pipeline, match, timeoutMs } = entry
  if (typeof event !== 'string' || event === '') return { path: '.event', why: `must be a key, not ${show(event)}` }
  if (pipeline !== undefined && pipeline !== 1) return { path: '.pipeline', why: 'must be 1' }
  if (match !== undefined && !(isObject(match) && Object.values(match).every(isScalar)))
    return { path: '.match', why: `must be an object of texts, numbers, booleans and nulls, not ${show(match)}` }
  if (timeoutMs !== undefined && !(isCount(timeoutMs) && timeoutMs <= MAX_TIME))
    return { path: '.timeoutMs', why: `must be an integer from 0 to ${MAX_TIME}, not ${show(timeoutMs)}` }
  return parallelFlaw(entry)
}

function isScalar(x: unknown): boolean {
  return x === null || typeof x === 'string' || typeof x === 'boolean' || Number.isFinite(x)
}

const PARALLEL_KEYS = ['returnExceptions', 'maxParallelism', 'unordered', 'pauseAfter']
const EACH_KEYS = ['each', ...PARALLEL_KEYS]
const GROUP_KEYS = ['group', 'chains', 'pages', 'index', ...PARALLEL_KEYS]

function parallelFlaw(entry: Record<string, unknown>): Flaw | undefined {
  const { returnExceptions, maxParallelism, unordered, pauseAfter } = entry
  if (returnExceptions !== undefined && returnExceptions !== 1) return { path: '.returnExceptions', why: 'must be 1' }
  if (maxParallelism !== undefined && !(isCount(maxParallelism) && maxParallelism > 0)) {
    return { path: '.maxParallelism', why: `must be an integer of at least 1, not ${show(maxParallelism)}` }
  }
  if (unordered !== undefined && unordered !== 1) return { path: '.unordered', why: 'must be 1' }
  return pauseAfter !== undefined && pauseAfter !== 1 ? { path: '.pauseAfter', why: 'must be 1' } : undefined
}

function eachFlaw(entry: Record<string, unknown>, scope: Scope, depth: number): Flaw | undefined {
  const unknown = unknownKey(entry, EACH_KEYS) ?? parallelFlaw(entry)
  if (unknown !== undefined) return unknown
  if (depth >= MAX_DEPTH) return { path: '', why: `is nested more than ${MAX_DEPTH} groups deep` }
  scope.templates++
  const flaw = chainFlaw(entry['each'], scope, depth + 1)
  scope.templates--
  return within('.each', flaw)
}

function groupFlaw(entry: Record<string, unknown>, scope: Scope, depth: number): Flaw | undefined {
  const unknown = unknownKey(entry, GROUP_KEYS) ?? parallelFlaw(entry)
  if (unknown !== undefined) return unknown
  const { group, chains, pages, index } = entry
  if (!isCount(group) || group > MAX_TASKS)
    return { path: '.group', why: `must be an integer from 0 to ${MAX_TASKS}, not ${show(group)}` }
  if (depth >= MAX_DEPTH) return { path: '', why: `is nested more than ${MAX_DEPTH} groups deep` }
  if ([chains, pages, index].filter((x) => x !== undefined).length !== 1) {
    return { path: '', why: 'must have one of chains, pages and index' }
  }
  if (pages !== undefined) return pagesFlaw('.pages', pages, group, scope)
  if (index !== undefined) return pagesFlaw('.index', index, group, scope)
  if (!Array.isArray(chains)) return { path: '.chains', why: 'must be an array of chains' }
  if (chains.length !== group) return { path: '.chains', why: `has ${chains.length} chains; the group says ${group}` }
  return within('.chains', chainsFlaw(chains, scope, depth + 1))
}

function chainsFlaw(chains: readonly unknown[], scope: Scope, depth: number): Flaw | undefined {
  for (let i = 0; i < chains.length; i++) {
    const flaw = chainFlaw(chains[i], scope, depth)
    if (flaw !== undefined) return within(`[${i}]`, flaw)
  }
  return undefined
}

function pagesFlaw(path: string, pages: unknown, group: number, scope: Scope): Flaw | undefined {
  if (!Array.isArray(pages) || pages.length === 0) return { path, why: 'must be an array of pages' }
  let before = -1
  for (const [i, page] of (pages as readonly unknown[]).entries()) {
    const [number, first] = Array.isArray(page) && page.length === 2 ? (page as unknown[]) : []
    const fits =
      isCount(number) && number > 0 && number < scope.below && isCount(first) && first > before && first < group
    if (!fits || (i === 0 && first !== 0))
      return { path: `${path}[${i}]`, why: `is not a page of this group: ${show(page)}` }
    before = first
  }
  return undefined
}

function within(path: string, flaw: Flaw | undefined): Flaw | undefined {
  return flaw === undefined ? undefined : { path: path + flaw.path, why: flaw.why }
}

function unknownKey(object: Record<string, unknown>, known: readonly string[]): Flaw | undefined {
  for (const key in object) if (!known.includes(key)) return { path: '', why: `has the unknown key ${show(key)}` }
  return undefined
}

function isObject(x: unknown): x is Record<string, unknown> {
  return typeof x === 'object' && x !== null && !Array.isArray(x)
}

function isCount(x: unknown): x is number {
  return Number.isSafeInteger(x) && (x as number) >= 0
}

function show(x: unknown): string {
  const json = JSON.stringify(x) ?? 'undefined'
  return json.length > 60 ? `${json.slice(0, 60)}…` : json
}
