// One open file: the connection with its group commit, this process's place among those that share it, and who waits for what.
import type { Clock } from '@tasks/core/adapter'
import { TaskError, thisProcess } from '@tasks/core/adapter'
import { watchIdentity } from './file-identity'
import { Group } from './group-commit'
import { Mail } from './mail'
import { Neighbours } from './neighbours'
import { Returns } from './returns'
import type { FileOptions } from './schema'
import { openFile } from './schema'
import { Waiting } from './waiting'
import { Wakeup } from './wakeup'

export interface Store {
  readonly group: Group
  readonly clock: Clock
  readonly waiting: Waiting
  readonly returns: Returns
  readonly mail: Mail
  /** The number of this process in the file. */
  readonly process: number
  close(): void
}

export async function openStore(options: FileOptions, create: boolean): Promise<Store> {
  const { path, synchronous, clock } = options
  const db = await openFile(options, create)
  const isReplaced = watchIdentity(path)
  let wakeup: Wakeup | undefined
  const group: Group = new Group({
    db,
    path,
    clock,
    synchronous,
    isReplaced,
    onReplaced: () => waiting.wakeAll(),
    onBlocked: () => wakeup?.askForRoom(),
    isShared: (write) =>
      wakeup !== undefined && write.get('SELECT 1 FROM process WHERE id <> ? LIMIT 1', neighbours.id) !== undefined,
    onCommit(changed, shared) {
      waiting.wake(changed)
      if (shared) wakeup!.touch()
    },
  })
  const waiting = new Waiting(group)
  const returns = new Returns(group, clock)
  const neighbours: Neighbours = await Neighbours.join(group, clock, thisProcess()).catch((error: TaskError) => {
    group.close(error, () => {})
    throw error
  })
  const mail = new Mail(group, clock, neighbours.id)
  wakeup = new Wakeup({
    path,
    group,
    clock,
    onElsewhere() {
      waiting.look()
      mail.look()
      returns.refresh()
    },
    onRoomWanted: () => group.makeRoom(),
    onBeat() {
      group.checkFile()
      neighbours.check()
    },
  })
  return {
    group,
    clock,
    waiting,
    returns,
    mail,
    process: neighbours.id,
    close() {
      returns.close()
      group.close(new TaskError('TASKS_CLOSED', `${path}: the transport is closed`), (write) => neighbours.leave(write))
      wakeup.touch()
      wakeup.close()
    },
  }
}
