// A batch of which some sends may not be made.
import type { Capabilities, Send, SendOutcome } from '../transport'
import { refusal } from './limits'

/**
 * Makes those of a batch that may be made; the others are refused, certainly, before any effect.
 * @param make gives an outcome for each that it is given, in their order; not called if there is none
 * @returns an outcome for each of the batch, in its order
 */
export async function sendAccepted(
  batch: readonly Send[],
  limits: Capabilities,
  partitions: number,
  make: (accepted: readonly Send[]) => readonly SendOutcome[] | Promise<readonly SendOutcome[]>,
): Promise<readonly SendOutcome[]> {
  const refusals = batch.map((send) => refusal(send, limits, partitions))
  const accepted = batch.filter((_, i) => refusals[i] === undefined)
  const made = accepted.length === 0 ? [] : await make(accepted)
  if (accepted.length === batch.length) return made
  let next = 0
  return refusals.map((error) => (error === undefined ? made[next++]! : { ok: false, certain: true, error }))
}
