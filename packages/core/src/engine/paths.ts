// Where in a run something is. A path names it and its place, so that no id has to be stored to find a parent.
//
//   chain   ''          the root chain            entry   <chain>/<index>
//           <entry>.<n> chain n of a group        task id <pipeline id><entry>
//           <entry>:    the chain of a returned pipeline
//           …~<hop>     the same chain after <hop> tail calls: a returned pipeline in tail position replaces its caller's frame
//
// `/2.17/0` is entry 0 of chain 17 of the group at entry 2; `/1:~3/0` the first entry of the fourth pipeline that entry 1 went on to.
// A *frame* is a chain that has a definition of its own: the root, a returned pipeline, or a chain after a tail call.

export const ROOT = ''

export const entryPath = (chain: string, index: number): string => `${chain}/${index}`
export const childPath = (group: string, index: number): string => `${group}.${index}`
/** `entryPath(childPath(group, index), 0)`, where there are many: `before` is what all of them begin with, by `firstEntriesBefore`. */
export const firstEntryPath = (before: string, index: number): string => `${before}${index}/0`
export const firstEntriesBefore = (group: string): string => `${group}.`
export const framePath = (entry: string): string => `${entry}:`
export const hopPath = (base: string, hop: number): string => (hop === 0 ? base : `${base}~${hop}`)

/** `/2.17/0` → the chain `/2.17` and the index 0. Undefined if it is not the path of an entry. */
export function splitEntry(path: string): { readonly chain: string; readonly index: number } | undefined {
  const slash = path.lastIndexOf('/')
  if (slash < 0) return undefined
  const index = numberBehind(path, slash)
  return index < 0 ? undefined : { chain: path.slice(0, slash), index }
}

/** Where an entry is: which one of its chain, which is named without its tail calls, and what that answers to. */
export interface PlaceInPath {
  readonly base: string
  readonly parent: ChainParent
  readonly hop: number
  readonly index: number
}

/** All that a path says, read for each outcome: what is not needed is not made. Undefined if it is not the path of an entry. */
export function placeInPath(path: string): PlaceInPath | undefined {
  return placeInLastGroup(path) ?? placeInAny(path)
}

/** Thousands of chains in a row are of one group: one text names it for all of them, and what is behind it is read in one go. Whatever it is, it changes no answer. */
let lastGroup = ''

/** Undefined if it is not `<last group>.<chain>/<entry>`. */
function placeInLastGroup(path: string): PlaceInPath | undefined {
  const dot = lastGroup.length
  if (dot === 0 || path.charCodeAt(dot) !== 46 /* . */ || !path.startsWith(lastGroup)) return undefined
  const slash = path.indexOf('/', dot)
  const chain = slash < 0 ? -1 : numberIn(path, dot + 1, slash)
  const index = chain < 0 ? -1 : numberIn(path, slash + 1, path.length)
  if (index < 0) return undefined
  return { base: path.slice(0, slash), parent: { kind: 'group', entry: lastGroup, index: chain }, hop: 0, index }
}

function placeInAny(path: string): PlaceInPath | undefined {
  const entry = splitEntry(path)
  if (entry === undefined) return undefined
  const { base, hop } = splitHop(entry.chain)
  const parent = parentOf(base)
  return parent.kind === 'group' && parent.index < 0 ? undefined : { base, parent, hop, index: entry.index }
}

/** A chain without its tail calls, and how many there were. */
export function splitHop(chain: string): { readonly base: string; readonly hop: number } {
  const tilde = chain.lastIndexOf('~')
  if (tilde < 0 || chain.indexOf('/', tilde) >= 0 || chain.endsWith(':')) return { base: chain, hop: 0 }
  const hop = numberBehind(chain, tilde)
  return hop > 0 ? { base: chain.slice(0, tilde), hop } : { base: chain, hop: 0 }
}

/** The number that is all of a text behind `at`; -1 if it is none. */
const numberBehind = (text: string, at: number): number => numberIn(text, at + 1, text.length)

/** The number that is all of a part of a text; -1 if it is none. */
function numberIn(text: string, from: number, to: number): number {
  if (from >= to) return -1
  let number = 0
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

export type ChainParent =
  | { readonly kind: 'root' }
  | { readonly kind: 'group'; readonly entry: string; readonly index: number }
  | { readonly kind: 'frame'; readonly entry: string }

/** What a chain (without hops) answers to when it ends. Remembers the group, for `placeInPath`. */
export function parentOf(base: string): ChainParent {
  if (base === ROOT) return { kind: 'root' }
  if (base.endsWith(':')) return { kind: 'frame', entry: base.slice(0, -1) }
  const dot = base.lastIndexOf('.')
  if (dot !== lastGroup.length || !base.startsWith(lastGroup)) lastGroup = base.slice(0, dot)
  return { kind: 'group', entry: lastGroup, index: numberBehind(base, dot) }
}

/** The frame whose definition a chain is part of, as the frame's own path. */
export function frameOf(chain: string): string {
  for (let at = chain.length - 1; at >= 0; at--) {
    const char = chain.charCodeAt(at)
    if (char === 58 /* : */) {
      // A hop right behind the colon belongs to the frame.
      return chain.charCodeAt(at + 1) === 126 ? chain.slice(0, endOfNumber(chain, at + 2)) : chain.slice(0, at + 1)
    }
    if (char === 126 /* ~ */) return chain.slice(0, endOfNumber(chain, at + 1))
  }
  return ROOT
}

/** The frame whose task returned what this frame is: the one before it in the same place, or else the one that it was called in. Not of the root. */
export function parentFrame(frame: string): string {
  const { base, hop } = splitHop(frame)
  if (hop > 1) return hopPath(base, hop - 1)
  return frameOf(hop === 1 ? base : frame.slice(0, -1))
}

function endOfNumber(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++
  return at
}

/** The way from a frame to one of its chains: pairs of (entry index, chain index), outermost first. */
export function wayTo(chain: string, frame: string): readonly (readonly [entry: number, child: number])[] {
  const rest = chain.slice(frame.length)
  if (rest === '') return []
  return rest
    .slice(1)
    .split('/')
    .map((pair) => {
      const dot = pair.indexOf('.')
      return [Number(pair.slice(0, dot)), Number(pair.slice(dot + 1))] as const
    })
}
