// Every message between clients, owners and workers is a record (record.ts) whose header is a JSON array that starts with the wire version and a
// letter. There is only this version so far: another one is dead-lettered, not guessed. From the next one on a reader reads the version before its own, too.
import { TaskError } from '../errors'

export const WIRE_VERSION = 1

export function checkVersion(header: readonly unknown[], type?: string): void {
  if (header[0] !== WIRE_VERSION) {
    throw new TaskError(
      'TASKS_UNDECODABLE',
      `a message has wire version ${JSON.stringify(header[0])}; this version reads ${WIRE_VERSION}`,
    )
  }
  if (type !== undefined && header[1] !== type) {
    throw new TaskError(
      'TASKS_UNDECODABLE',
      `a message has type ${JSON.stringify(header[1])} where ${JSON.stringify(type)} belongs`,
    )
  }
}
