// The owners of this process, as its clients find them. A submit whose partition is owned here, on the same transport, need not go to the store and come back: it is folded
// at once, and is durable with the commit that creates its pipeline. If that commit fails, or nobody knows, the submit is sent as any other is, and its run tells whether
// it has been taken.
import type { Transport } from '../transport'
import type { SubmitMessage } from '../wire/inbox-message'

export interface OwnerHere {
  /** Whether it is committed: false is not known, or not. Undefined if it should be sent. */
  submit(message: SubmitMessage): Promise<boolean> | undefined
}

const owners = new WeakMap<Transport, Map<string, OwnerHere>>()

const placeOf = (namespace: string, partition: number): string => `${namespace}/${partition}`

/** Returns how to leave again. */
export function joinOwners(transport: Transport, namespace: string, partition: number, owner: OwnerHere): () => void {
  const here = owners.get(transport) ?? new Map<string, OwnerHere>()
  const place = placeOf(namespace, partition)
  owners.set(transport, here.set(place, owner))
  return () => {
    if (here.get(place) === owner) here.delete(place)
  }
}

export function ownerHere(transport: Transport, namespace: string, partition: number): OwnerHere | undefined {
  return owners.get(transport)?.get(placeOf(namespace, partition))
}
