import type { OpenOptions } from '@tasks/core'
import { TaskError } from '@tasks/core/adapter'
import type { Connection } from './connection'
import type { Keys } from './keys'
import { DEFAULT_PARTITIONS, MAX_PARTITIONS } from './limits'
import { openNamespace as openScript } from './scripts/namespace'

/** Of everything under a namespace's keys. A newer one is refused. */
const FORMAT = 1

/** Answers the number of partitions. */
export async function openNamespace(
  connection: Connection,
  keys: Keys,
  { namespace, partitions, provision }: OpenOptions,
): Promise<number> {
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS)) {
    throw new TaskError(
      'TASKS_OPTIONS',
      `partitions must be a whole number from 1 to ${MAX_PARTITIONS}, not ${partitions}`,
    )
  }
  const create = provision === 'verify' ? '' : (partitions ?? DEFAULT_PARTITIONS)
  const answer = (await connection.run(openScript, [keys.meta], [FORMAT, create])) as readonly (Buffer | null)[] | null
  if (answer === null)
    throw new TaskError(
      'TASKS_NOT_FOUND',
      `there is no namespace "${namespace}" on this server, and it is not to be created`,
    )
  const [format, stored] = answer.map((field) => Number(field))
  if (!Number.isInteger(format) || !Number.isInteger(stored) || format! < 1 || stored! < 1)
    throw new TaskError('TASKS_STORE_FOREIGN', `the key ${keys.meta} belongs to another program; choose another prefix`)
  if (format! > FORMAT) {
    throw new TaskError(
      'TASKS_STORE_NEWER',
      `namespace "${namespace}" has format ${format}, and this version of @tasks/transport-redis reads up to ${FORMAT}; upgrade the package`,
      { details: { format, readable: FORMAT } },
    )
  }
  if (partitions !== undefined && partitions !== stored) {
    throw new TaskError(
      'TASKS_PARTITIONS_MISMATCH',
      `namespace "${namespace}" has ${stored} partitions, not ${partitions}; the number is fixed when it is created`,
      { details: { stored, asked: partitions } },
    )
  }
  return stored!
}
