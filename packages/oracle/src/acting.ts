// What a task of a program does, once it is called. The tasks of a simulated worker do it, and the interpreter knows it.
import type { Failing, Program, TaskUnit } from './program'
import { inAnyOrder, NOTHING, type Given } from './given'
import type { State } from './state'

/** What a task knows when it is called. */
export interface Call {
  /** What came from upstream, in plain form. */
  readonly inputs: readonly unknown[]
  readonly attempt: number
  /** Of the pipeline, from 1. */
  readonly run: number
  readonly state: Readonly<Record<string, unknown>>
}

export type Act = {
  /** What it was called with, in words. */
  readonly saw: string
  /** What it sets of the state before anything else. */
  readonly sets: State
} & (
  | { readonly does: 'gives'; readonly given: Given }
  | { readonly does: 'returns'; readonly program: Program }
  | { readonly does: 'fails'; readonly how: Failing; readonly message: string }
)

/** Long enough for a value of its own, however small a transport's messages are. */
const MUCH = 21_000
const MOST_TEXT = 300
const LIST = ['#0', '#1', '#2']

export function actOf(unit: TaskUnit, call: Call): Act {
  const { label, returns, fails, how, heals = Infinity } = unit
  const saw = sawOf(unit, call)
  const about = { saw, sets: settingsOf(unit, saw) }
  if (call.attempt <= fails && call.run < heals) return { ...about, does: 'fails', how, message: `${label} failed` }
  if (returns !== undefined) return { ...about, does: 'returns', program: returns }
  return { ...about, does: 'gives', given: givenBy(unit, saw) }
}

function sawOf({ label, tells, loose }: TaskUnit, { inputs, state }: Call): string {
  const args = inputs.map((input) => JSON.stringify(loose ? inAnyOrder(input) : input)).join()
  const keys = Object.keys(state).sort()
  return digest(`${label}(${args})${tells ? keys.map((key) => `@${key}=${String(state[key])}`).join('') : ''}`)
}

function settingsOf({ sets = [] }: TaskUnit, saw: string): State {
  return new Map(sets.map(([key, to]) => [key, to === 'own' ? saw : to === 'shared' ? key : null]))
}

function givenBy({ label, gives }: TaskUnit, text: string): Given {
  switch (gives) {
    case 'nothing':
      return NOTHING
    case 'one':
      return { kind: 'one', value: [text] }
    case 'several':
      return { kind: 'several', values: [text, label] }
    case 'list':
      return { kind: 'one', value: LIST.slice(0, label.length % 4).map((at) => text + at) }
    case 'much':
      return { kind: 'one', value: text.padEnd(MUCH, '.') }
  }
}

/** Results name all that went into them, and stay short. */
function digest(text: string): string {
  if (text.length <= MOST_TEXT) return text
  let hash = 0
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0
  return `${text.slice(0, 20)}…${text.length}:${(hash >>> 0).toString(36)}`
}
