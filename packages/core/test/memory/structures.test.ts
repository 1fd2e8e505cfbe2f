import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Deque } from '../../src/memory/deque'
import { Heap } from '../../src/adapter/heap'
import { Slab } from '../../src/memory/slab'
import { SortedKeys } from '../../src/adapter/sorted-keys'

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

describe('deque', () => {
  test('behaves as an array does', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(), fc.constant('shift' as const)), { maxLength: 300 }), (steps) => {
        const deque = new Deque<number>()
        const array: number[] = []
        const [shifted, expected]: (number | undefined)[][] = [[], []]
        for (const step of steps) {
          if (step === 'shift') {
            shifted!.push(deque.shift())
            expected!.push(array.shift())
          } else {
            deque.push(step)
            array.push(step)
          }
        }
        expect(shifted).toEqual(expected)
        expect(deque.size).toBe(array.length)
        expect(array.map((_, i) => deque.at(i))).toEqual(array)
        expect(deque.at(array.length)).toBeUndefined()
      }),
    )
  })

  test('grows and shrinks without losing its order', () => {
    const deque = new Deque<number>()
    for (let i = 0; i < 100_000; i++) deque.push(i)
    for (let i = 0; i < 99_990; i++) expect(deque.shift()).toBe(i)
    for (let i = 0; i < 10; i++) deque.push(100_000 + i)
    expect(Array.from({ length: 20 }, () => deque.shift())).toEqual(Array.from({ length: 20 }, (_, i) => 99_990 + i))
  })
})

test('a heap gives the earliest first', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 50 })), (times) => {
      const heap = new Heap<{ readonly dueAt: number }>()
      for (const dueAt of times) heap.push({ dueAt })
      const popped = times.map(() => heap.pop()!.dueAt)
      expect(popped).toEqual([...times].sort((a, b) => a - b))
      expect(heap.pop()).toBeUndefined()
    }),
  )
})

describe('sorted keys', () => {
  const key = fc.oneof(
    fc.string({ maxLength: 3 }),
    fc.string({ unit: 'binary', maxLength: 3 }),
    fc.constantFrom('\uffee', '\u{1f600}', '\ud7ff', '\ue000', '', 'a', 'b', 'ab'),
  )
  const step = fc.oneof(
    fc.record({ add: key }),
    fc.record({ remove: key }),
    fc.record({ prefix: key, after: fc.option(key, { nil: undefined }), limit: fc.nat({ max: 5 }) }),
  )

  test('list as a sorted array would, whatever was added and removed in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const map = new Map<string, true>()
        const keys = new SortedKeys(map)
        const [listed, expected]: string[][][] = [[], []]
        for (const each of steps) {
          if ('add' in each) {
            if (map.has(each.add)) continue
            map.set(each.add, true)
            keys.added(each.add)
          } else if ('remove' in each) {
            if (map.delete(each.remove)) keys.removed(each.remove)
          } else {
            const { prefix, after, limit } = each
            listed!.push(keys.list(prefix, after, limit))
            const inOrder = [...map.keys()].sort(byBytes).filter((name) => name.startsWith(prefix))
            expected!.push(inOrder.filter((name) => after === undefined || byBytes(name, after) > 0).slice(0, limit))
          }
        }
        expect(listed).toEqual(expected)
        expect(keys.list('', undefined, Infinity)).toEqual([...map.keys()].sort(byBytes))
      }),
      { numRuns: 500 },
    )
  })

  test('stay sorted over many chunks', () => {
    const map = new Map<string, number>()
    const keys = new SortedKeys(map)
    const name = (i: number): string => String((i * 7919) % 20_011).padStart(5, '0')
    for (let i = 0; i < 20_011; i++) {
      map.set(name(i), i)
      keys.added(name(i))
      if (i % 50 === 0) keys.list('', undefined, 1)
    }
    for (let i = 0; i < 20_011; i += 3) {
      map.delete(name(i))
      keys.removed(name(i))
    }
    expect(keys.list('', undefined, Infinity)).toEqual([...map.keys()].sort())
    expect(keys.list('01', '01500', 2)).toEqual(
      [...map.keys()]
        .sort()
        .filter((each) => each > '01500')
        .slice(0, 2),
    )
  })

  test('know what was in the map before them', () => {
    const map = new Map(['c', '\u{1f600}', 'a', '\uffee'].map((name) => [name, true]))
    const keys = new SortedKeys(map)
    map.set('aa', true)
    keys.added('aa')
    expect(keys.list('', undefined, Infinity)).toEqual(['a', 'aa', 'c', '\uffee', '\u{1f600}'])
  })

  test('keep nothing of keys that come and go while nobody reads them', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const heldBytes = (): number => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const map = new Map([['stays', true]])
    const keys = new SortedKeys(map)
    keys.added('stays')
    const before = heldBytes()
    for (let i = 0; i < 200_000; i++) {
      const name = `${i}`.padEnd(100)
      map.set(name, true)
      keys.added(name)
      map.delete(name)
      keys.removed(name)
    }
    expect(heldBytes() - before).toBeLessThan(5_000_000)
    expect(keys.list('', undefined, Infinity)).toEqual(['stays'])
  })
})

test('a slab copies, and gives no value a part of another', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.constantFrom(16, 64, 1024), (values, chunkBytes) => {
      const slab = new Slab(
        values.reduce((total, value) => total + value.byteLength, 0),
        chunkBytes,
      )
      const copies = values.map((value) => slab.copy(value))
      const originals = values.map((value) => [...value])
      for (const value of values) value.fill(0)
      for (const [i, copy] of copies.entries()) {
        expect([...copy]).toEqual(originals[i])
        copy.fill(255)
      }
      for (const [i, copy] of copies.entries()) expect([...copy]).toEqual(originals[i]!.map(() => 255))
    }),
  )
})
