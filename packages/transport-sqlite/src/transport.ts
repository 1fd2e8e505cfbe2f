import { resolve } from 'node:path'
import type { Capabilities, OpenOptions, Space, Transport } from '@tasks/core'
import type { Clock } from '@tasks/core/adapter'
import { systemClock, TaskError } from '@tasks/core/adapter'
import type { Driver } from './driver'
import { chooseDriver } from './driver'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ITEMS, MAX_MESSAGE_BYTES, PRIORITIES } from './limits'
import { openNamespace } from './namespace'
import type { Synchronous } from './schema'
import { openSpace } from './space'
import type { Store } from './store'
import { openStore } from './store'
import { parseUrl } from './url'

export interface SqliteTransportOptions {
  /** The file; relative to the working directory. It is created, its folder is not. */
  readonly path?: string
  /** Instead of `path`: `sqlite:./tasks.db?synchronous=normal`. */
  readonly url?: string
  /**
   * What survives a power cut: `full` (the default) waits for the disk at every commit; with `normal` the last commits may be lost,
   * though the death of a process loses nothing.
   */
  readonly synchronous?: Synchronous
  /** For tests. */
  readonly clock?: Clock
}

/** Tasks on one SQLite file, which several processes of one machine may share. */
export function sqliteTransport(options: SqliteTransportOptions): Transport {
  return transportOf(options, chooseDriver())
}

/** What `connect('sqlite:…')` of core calls. */
export function fromUrl(url: string, options: Omit<SqliteTransportOptions, 'url' | 'path'> = {}): Transport {
  return sqliteTransport({ ...options, url })
}

/** With a driver of the caller's choice. */
export function transportOf(options: SqliteTransportOptions, driver: Driver): Transport {
  const { path, synchronous } = locate(options)
  const clock = options.clock ?? systemClock
  const capabilities: Capabilities = {
    durability: synchronous === 'full' ? 'fsync' : 'process',
    maxMessageBytes: MAX_MESSAGE_BYTES,
    maxCommitBytes: MAX_COMMIT_BYTES,
    maxCommitItems: MAX_COMMIT_ITEMS,
    priorities: PRIORITIES,
    shared: true,
    server: `SQLite ${driver.version} via ${driver.name}`,
  }
  const spaces = new Set<Space>()
  let opening: { readonly create: boolean; readonly store: Promise<Store> } | undefined
  let closing: Promise<void> | undefined

  const refuseIfClosed = (): void => {
    if (closing) throw new TaskError('TASKS_CLOSED', `${path}: the transport is closed`)
  }

  /** One store for all. Whoever may create the file is not refused with somebody who may not. */
  const openOnce = (create: boolean): Promise<Store> => {
    const earlier = opening
    if (earlier && (earlier.create || !create)) return earlier.store
    const open = (): Promise<Store> => openStore({ driver, path, synchronous, clock }, create)
    const mine = { create, store: earlier ? earlier.store.catch(open) : open() }
    opening = mine
    // A file that was refused may be there, or be another, at the next call.
    mine.store.catch(() => {
      if (opening === mine) opening = undefined
    })
    return mine.store
  }

  const close = async (): Promise<void> => {
    await Promise.all([...spaces].map((space) => space.close()))
    const opened = await opening?.store.catch(() => undefined)
    opened?.close()
  }

  return {
    name: 'sqlite',
    capabilities,

    async open(open: OpenOptions): Promise<Space> {
      refuseIfClosed()
      const opened = await openOnce(open.provision !== 'verify')
      const namespace = await openNamespace(opened.group, clock.now(), open)
      refuseIfClosed()
      const space = openSpace(opened, namespace, capabilities, open.retention ?? {}, () => void spaces.delete(space))
      spaces.add(space)
      return space
    },

    close: () => (closing ??= close()),
  }
}

function locate(options: SqliteTransportOptions): { readonly path: string; readonly synchronous: Synchronous } {
  const { path, url } = options
  if ((path === undefined) === (url === undefined))
    throw new TaskError('TASKS_OPTIONS', 'sqliteTransport takes either path or url')
  const location = url === undefined ? { path: path! } : parseUrl(url)
  if (location.path === ':memory:' || location.path === '') {
    throw new TaskError(
      'TASKS_OPTIONS',
      `${url ?? path}: an SQLite database in memory is seen by nobody else; use the transport memory: instead`,
    )
  }
  const synchronous = options.synchronous ?? (location as { synchronous?: Synchronous }).synchronous ?? 'full'
  if (synchronous !== 'full' && synchronous !== 'normal') {
    throw new TaskError('TASKS_OPTIONS', `synchronous is 'full' or 'normal', not '${String(synchronous)}'`)
  }
  return { path: resolve(location.path), synchronous }
}
