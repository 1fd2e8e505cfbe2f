// What a task of a program does, once it is called. The tasks of a simulated worker do it, and the interpreter knows it.
import type { Failing, Program, TaskUnit } from './program'
import { NOTHING, type Given } from './given'

export type Act =
  | { readonly does: 'gives'; readonly given: Given }
  | { readonly does: 'returns'; readonly program: Program }
  | { readonly does: 'fails'; readonly how: Failing; readonly message: string }

/** Long enough for a value of its own, however small a transport's messages are. */
const MUCH = 21_000
const MOST_TEXT = 300
const LIST = ['#0', '#1', '#2']

/** @param inputs what came from upstream, in plain form */
export function actOf(unit: TaskUnit, inputs: readonly unknown[], attempt: number): Act {
  const { label, gives, returns, fails, how } = unit
  if (attempt <= fails) return { does: 'fails', how, message: `${label} failed` }
  if (returns !== undefined) return { does: 'returns', program: returns }
  const text = digest(`${label}(${inputs.map((input) => JSON.stringify(input)).join()})`)
  switch (gives) {
    case 'nothing':
      return { does: 'gives', given: NOTHING }
    case 'one':
      return { does: 'gives', given: { kind: 'one', value: [text] } }
    case 'several':
      return { does: 'gives', given: { kind: 'several', values: [text, label] } }
    case 'list':
      return { does: 'gives', given: { kind: 'one', value: LIST.slice(0, label.length % 4).map((at) => text + at) } }
    case 'much':
      return { does: 'gives', given: { kind: 'one', value: text.padEnd(MUCH, '.') } }
  }
}

/** Results name all that went into them, and stay short. */
function digest(text: string): string {
  if (text.length <= MOST_TEXT) return text
  let hash = 0
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0
  return `${text.slice(0, 20)}…${text.length}:${(hash >>> 0).toString(36)}`
}
