// How a process learns that another one has committed something: whoever commits touches `<file>-wake`, and everybody watches it.
// Where watching does not work (or has not yet shown that it does), `PRAGMA data_version` is asked every few milliseconds;
// and now and then in any case, so that a lost notification costs a moment and not more. Measurements: HOW_IT_WORKS.md.
import type { FSWatcher } from 'node:fs'
import { closeSync, constants, fchmodSync, fstatSync, openSync, readSync, statSync, watch, writeSync } from 'node:fs'
import type { Clock } from '@tasks/core/adapter'
import type { Group } from './group-commit'

// The bytes of the file. What is written to the first does not matter; the second is another each time.
const COMMITTED = 0
const WANTED = 1

const POLL_MS = 10
const BEAT_MS = 200

export interface WakeupOptions {
  readonly path: string
  readonly group: Group
  readonly clock: Clock
  /** Another connection has committed. */
  onElsewhere(): void
  /** Another connection cannot commit. */
  onRoomWanted(): void
  /** Every `BEAT_MS`, for what else must be looked after now and then. */
  onBeat(): void
}

export class Wakeup {
  readonly #options: WakeupOptions
  readonly #path: string
  readonly #byte = new Uint8Array(1)
  #fd: number | undefined
  #inode = 0
  #wanted = 0
  #watcher: FSWatcher | undefined
  #watches = false
  #version = -1
  #beatAt = -Infinity
  #pending = false
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: WakeupOptions) {
    this.#options = options
    this.#path = `${options.path}-wake`
    this.#version = this.#readVersion()
    this.#arm()
    this.#beat()
  }

  /** Wakes the other processes. */
  touch(): void {
    this.#write(COMMITTED)
  }

  /** Asks whoever commits in a row to pause for a moment. */
  askForRoom(): void {
    this.#wanted = (this.#wanted + 1) % 256
    this.#byte[0] = this.#wanted
    this.#write(WANTED)
  }

  #write(position: number): void {
    try {
      writeSync(this.#fd ?? this.#openFile(), this.#byte, 0, 1, position)
    } catch {
      // The others poll, and are lucky in the end.
    }
  }

  close(): void {
    this.#closed = true
    this.#cancel()
    this.#closeFile()
  }

  #openFile(): number {
    this.#fd = openSync(this.#path, constants.O_RDWR | constants.O_CREAT)
    this.#inode = fstatSync(this.#fd).ino
    this.#admit(this.#fd)
    return this.#fd
  }

  /** Whoever may write the database may write this, whatever the umask of who made it: SQLite does the same for its own files. */
  #admit(fd: number): void {
    try {
      fchmodSync(fd, statSync(this.#options.path).mode & 0o777)
    } catch {
      // It is somebody else's, who has done so.
    }
  }

  #closeFile(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #arm(): void {
    this.#watches = false
    try {
      this.#openFile()
      this.#watcher = watch(this.#path, { persistent: false }, (event) => {
        if (event === 'rename') return
        this.#watches = true
        this.#heedWants()
        this.#notice()
      })
      this.#watcher.on('error', () => (this.#watches = false))
      // Seen by this process too, and so the proof that watching works here.
      this.touch()
    } catch {
      this.#closeFile()
    }
  }

  // Somebody may have removed the file: what this process watches then is another than what others touch.
  #rearmIfGone(): void {
    if (this.#fd !== undefined && statSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode) return
    this.#closeFile()
    this.#arm()
  }

  #heedWants(): void {
    try {
      if (this.#fd === undefined || readSync(this.#fd, this.#byte, 0, 1, WANTED) === 0) return
    } catch {
      return
    }
    if (this.#byte[0] === this.#wanted) return
    this.#wanted = this.#byte[0]!
    this.#options.onRoomWanted()
  }

  // Several notifications of one turn are one look.
  #notice(): void {
    if (this.#pending || this.#closed) return
    this.#pending = true
    this.#options.clock.soon(() => {
      this.#pending = false
      if (!this.#closed) this.#check()
    })
  }

  #check(): void {
    try {
      const version = this.#readVersion()
      if (version === this.#version) return
      this.#options.onElsewhere()
      this.#version = version
    } catch {
      // A file in trouble is reported by the calls that need it. The next beat asks again.
    }
  }

  #readVersion(): number {
    return this.#options.group.get('PRAGMA data_version')!['data_version'] as number
  }

  // This timer keeps the process alive, as an open connection does elsewhere.
  #beat(): void {
    if (this.#closed) return
    this.#cancel = this.#options.clock.after(this.#watches ? BEAT_MS : POLL_MS, () => this.#beat())
    this.#check()
    const now = this.#options.clock.monotonic()
    if (now - this.#beatAt < BEAT_MS - POLL_MS) return
    this.#beatAt = now
    try {
      this.#rearmIfGone()
      this.#options.onBeat()
    } catch {
      // As above.
    }
  }
}
