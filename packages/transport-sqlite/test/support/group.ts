// A connection by itself, with nothing of what a store puts around it.
import type { Clock } from '@tasks/core/adapter'
import { systemClock, TaskError } from '@tasks/core/adapter'
import { onTestFinished } from 'vitest'
import type { Driver } from '../../src/driver'
import { chooseDriver } from '../../src/driver'
import { Group } from '../../src/group-commit'
import type { Synchronous } from '../../src/schema'
import { openFile } from '../../src/schema'
import { newPath } from './folder'

export interface GroupSetup {
  readonly driver?: Driver
  readonly clock?: Clock
  readonly path?: string
  readonly synchronous?: Synchronous
}

/** Opens the file, or a new one. It is closed when the test ends. */
export async function openGroup(options: GroupSetup = {}): Promise<{ readonly group: Group; readonly path: string }> {
  const { driver = chooseDriver(), clock = systemClock, path = newPath(), synchronous = 'full' } = options
  const db = await openFile({ driver, path, synchronous, clock }, true)
  const group = new Group({
    db,
    path,
    clock,
    synchronous,
    isReplaced: () => false,
    onReplaced: () => {},
    isShared: () => false,
    onCommit: () => {},
    onBlocked: () => {},
  })
  onTestFinished(() => group.close(new TaskError('TASKS_CLOSED', 'the test is over'), () => {}))
  return { group, path }
}
