import { expect, test } from 'vitest'
import { parentOf, placeInPath, splitEntry, splitHop } from '../../src/engine/paths'

/** The same, a step at a time. */
function inSteps(path: string): ReturnType<typeof placeInPath> {
  const entry = splitEntry(path)
  if (entry === undefined) return undefined
  const { base, hop } = splitHop(entry.chain)
  return { base, parent: parentOf(base), hop, index: entry.index }
}

test.each([
  '/0',
  '/12',
  '~1/0',
  '~36/7',
  '/2.17/0',
  '/2.18/0',
  '/20.1/0',
  '~1/0.683/0',
  '~1/0.683~2/4',
  '/1:/3',
  '/1:~3/0',
  '/1:~3/0.4/2',
  '/0.4/1:/2.9~1/0',
  '/0.4/1:~12/2.9/0',
  '/0.4/1.5/6.7/8',
])('what %s says at once is what it says step by step', (path) => {
  const said = inSteps(path)
  expect(said).toBeDefined()
  // Whatever was read before: another group, and the same one.
  parentOf('/9.9')
  expect(placeInPath(path)).toEqual(said)
  expect(placeInPath(path)).toEqual(said)
})

test('a tail call belongs to the last chain of a path, not to one that it is in', () => {
  expect(placeInPath('~1/0.683/0')).toEqual({
    base: '~1/0.683',
    parent: { kind: 'group', entry: '~1/0', index: 683 },
    hop: 0,
    index: 0,
  })
  expect(placeInPath('/0.683~2/4')).toEqual({
    base: '/0.683',
    parent: { kind: 'group', entry: '/0', index: 683 },
    hop: 2,
    index: 4,
  })
})

test.each([
  '',
  '/',
  '/x',
  '/1/',
  '/-1',
  '/1.5',
  '/1e1',
  '/ 1',
  '/0x1',
  '0',
  '/2.17',
  '/2.x/0',
  '/2./0',
  '/2.1/x',
  '/2.1/',
])('"%s" is not the path of an entry', (path) => {
  expect(placeInPath(path)).toBeUndefined()
  parentOf('/2.17')
  expect(placeInPath(path)).toBeUndefined()
})
