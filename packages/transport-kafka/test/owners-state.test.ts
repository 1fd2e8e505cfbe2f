import { expect, test } from 'vitest'
import type { OwnersSaying } from '../src/owners-state'
import { OwnersState } from '../src/owners-state'

const LEASE_MS = 100

function stateAfter(...said: readonly (readonly [time: number, saying: OwnersSaying])[]): OwnersState {
  const state = new OwnersState(2)
  for (const [time, saying] of said) state.fold(time, saying)
  return state
}

const claim = (host: string, partition: number): OwnersSaying => ({
  op: 'claim',
  host,
  leaseMs: LEASE_MS,
  partition,
  nonce: host,
})
const beat = (host: string): OwnersSaying => ({ op: 'beat', host, leaseMs: LEASE_MS, held: [] })

test('the first claim of a free partition has it, and another only once its lease has run out', () => {
  const state = stateAfter([0, claim('a', 0)], [1, claim('b', 0)], [99, claim('c', 0)])
  expect(state.partitions[0]!.owner).toBe('a')
  state.fold(100, claim('d', 0))
  expect(state.partitions[0]!.owner).toBe('d')
})

test('a host that is silent is looked for again when it stops counting, though its partitions were free before', () => {
  // Its claim came before its last heartbeat, which does not renew what it does not have yet.
  const state = stateAfter([0, claim('a', 0)], [50, beat('a')])
  expect(state.nextExpiry('b', 60)).toBe(100)
  expect(state.isFree(0, 101)).toBe(true)
  expect(state.hosts(101)).toBe(1)
  expect(state.nextExpiry('b', 101)).toBe(150)
  expect(state.nextExpiry('a', 101)).toBe(Infinity)
})

test('whoever says that a host is gone frees what it had, and says so once', () => {
  const state = stateAfter([0, beat('a')], [0, claim('a', 0)], [0, claim('a', 1)])
  expect(state.fold(1, { op: 'leave', host: 'a', all: true })).toBe(true)
  expect([0, 1].map((partition) => state.isFree(partition, 1))).toEqual([true, true])
  expect(state.fold(2, { op: 'leave', host: 'a', all: true })).toBe(false)
})

test('epochs grow with every claim, also over the end of the log', () => {
  const state = stateAfter([1_000, claim('a', 0)], [1_001, { op: 'release', partition: 0, claim: '1000-a' }])
  state.fold(1_001, claim('b', 0))
  expect(state.partitions[0]!.claim).toBe('1001-b')
  const later = stateAfter([5_000, claim('c', 0)])
  expect(later.partitions[0]!.epoch).toBeGreaterThan(state.partitions[0]!.epoch)
})
