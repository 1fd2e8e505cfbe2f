import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkId, checkNamespace, checkQueueName, checkTaskName, escapeId, partitionOf, unescapeId } from '../src/ids'

const wellFormed = fc.string({ unit: 'binary' })

describe('an id', () => {
  test.each(['a', 'order/17', 'Zürich 東京 🚀', '%', '..', 'x'.repeat(256), 'é'.repeat(128), '{curly}', 'a b'])(
    '%j is fine',
    (id) => {
      expect(checkId('id', id)).toBe(id)
    },
  )

  test.each([
    ['', 'pipeline id "" must not be empty'],
    ['x'.repeat(257), `pipeline id "${'x'.repeat(80)}…" must have at most 256 bytes, not 257`],
    ['é'.repeat(129), `pipeline id "${'é'.repeat(80)}…" must have at most 256 bytes, not 258`],
    ['a\nb', 'pipeline id "a\\nb" must have no control characters and no lone surrogates'],
    ['\u007f', 'pipeline id "\u007f" must have no control characters and no lone surrogates'],
    ['\ud800', 'pipeline id "\\ud800" must have no control characters and no lone surrogates'],
    [7, 'pipeline id 7 must be a string'],
    [undefined, 'pipeline id undefined must be a string'],
  ])('%j is refused', (id, message) => {
    expect(() => checkId('pipeline id', id as string)).toThrow(
      expect.objectContaining({ code: 'TASKS_ID_INVALID', message }),
    )
  })
})

test('names of tasks, queues and namespaces', () => {
  expect(checkTaskName('billing.charge card')).toBe('billing.charge card')
  expect(() => checkTaskName(' charge')).toThrow(/space/)
  expect(checkQueueName('listen:orders-1')).toBe('listen:orders-1')
  for (const queue of ['', 'inbox/3', 'a b', ':x', 'q'.repeat(129)])
    expect(() => checkQueueName(queue)).toThrow(/queue/)
  expect(checkNamespace('shop.eu-1')).toBe('shop.eu-1')
  for (const name of ['', 'a/b', 'a b', '.a', 'ü', 'n'.repeat(65)])
    expect(() => checkNamespace(name)).toThrow(/namespace/)
})

describe('an escaped id', () => {
  test('is one segment', () => {
    expect(escapeId('a/b%c\u0000d\u0085')).toBe('a%2Fb%25c%00d%C2%85')
    expect(escapeId('Zürich')).toBe('Zürich')
  })

  test('comes back, and no two ids meet', () => {
    fc.assert(
      fc.property(wellFormed, (id) => {
        const segment = escapeId(id)
        expect(segment).not.toContain('/')
        expect(unescapeId(segment)).toBe(id)
      }),
    )
  })

  test('that is malformed is refused', () => {
    expect(() => unescapeId('%FF')).toThrow(/not an escaped id/)
  })
})

describe('the partition of an id', () => {
  // Wire format: these never change.
  test.each([
    ['', 1024, 11],
    ['a', 1024, 435],
    ['risk-2026-11-21', 16, 10],
    ['risk-2026-11-21', 1024, 266],
    ['Zürich 東京 🚀', 16, 12],
    ['Zürich 東京 🚀', 1024, 364],
    ['order/17', 64, 34],
    ['x'.repeat(256), 64, 37],
  ])('%j of %d', (id, partitions, partition) => {
    expect(partitionOf(id, partitions)).toBe(partition)
  })

  test('does not depend on how the id is hashed', () => {
    const reference = (id: string): number => {
      let h = 0x811c9dc5
      for (const byte of new TextEncoder().encode(id)) h = Math.imul(h ^ byte, 0x01000193)
      h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
      return ((h ^ (h >>> 16)) >>> 0) % 64
    }
    fc.assert(
      fc.property(wellFormed, (id) => {
        expect(partitionOf(id, 64)).toBe(reference(id))
      }),
    )
  })

  test('is even for ids that count', () => {
    for (const partitions of [8, 16, 64]) {
      const counts = new Array<number>(partitions).fill(0)
      for (let i = 0; i < 64_000; i++) counts[partitionOf(`order-${i}`, partitions)]!++
      const mean = 64_000 / partitions
      expect(Math.max(...counts) / mean).toBeLessThan(1.2)
      expect(Math.min(...counts) / mean).toBeGreaterThan(0.8)
    }
  })
})
