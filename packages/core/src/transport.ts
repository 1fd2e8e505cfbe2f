// The SPI: what a broker or an embedded store must do for the engine. Policy (retries, timers, fan-in, dead-letter rules)
// is core's; an adapter only moves messages, keeps rows, and fences.
//
// Read as promises (what an adapter must keep, each a case of @tasks/conformance) and freedoms (what it may do).
// The errors that core understands across this seam are `TaskError`s: `TASKS_FENCED`, `TASKS_TOO_LARGE`, `TASKS_ROW_EXISTS`, `TASKS_UNAVAILABLE`, and
// `TASKS_CLOSED` after `close`.

export type Bytes = Uint8Array

/** `entity/row`. The entity (everything before the first `/`) never spans partitions. Ordered by UTF-8 bytes. */
export type RowKey = string

/** A place in one partition's inbox, or in its event log. Opaque to core; ordered by the adapter; the same for every process, and after a restart. */
export type Position = string

/** What a transport can promise. Data, never behaviour: the engine refuses what it cannot have when a program starts. */
export interface Capabilities {
  /** What survives once a call has resolved: nothing, the death of a process, a power cut, or the loss of a server. */
  readonly durability: 'none' | 'process' | 'fsync' | 'replicated'
  /** Largest `body` of one send, in bytes. */
  readonly maxMessageBytes: number
  /** Largest sum of row values and send bodies in one commit, in bytes. */
  readonly maxCommitBytes: number
  /** Most rows and sends, together, in one commit. */
  readonly maxCommitItems: number
  /** How many priority levels a queue has; higher priorities are clamped to the highest. */
  readonly priorities: number
  /** Whether other processes see the same store. */
  readonly shared: boolean
  /** Whether commits look at `absent`. Worth having where a read takes a round trip: that of a row which is new is saved. */
  readonly checksAbsent?: boolean
  /** For people: server and version, or library and version. */
  readonly server: string
}

export interface Transport {
  /** The URL scheme or a short name, for messages to people. */
  readonly name: string
  readonly capabilities: Capabilities
  /**
   * Opens one namespace, creating it if `provision` is `'create'` (the default) and it does not exist.
   * Refuses (typed error, nothing created) a store that is newer than this version, not ours, or unsafe.
   * `partitions` is used only at creation; afterwards the stored number rules, and an explicit other number is refused.
   */
  open(options: OpenOptions): Promise<Space>
  /** Closes every space and connection this transport made. Idempotent; safe while calls are in flight (they reject). */
  close(): Promise<void>
}

export interface OpenOptions {
  readonly namespace: string
  readonly partitions?: number
  readonly provision?: 'create' | 'verify'
  /** How much of the event log is kept; what is left out is the transport's choice. Where openers differ, either's may rule. */
  readonly retention?: Partial<EventRetention>
}

/** One namespace on a transport. Two spaces never see each other's messages, rows, blobs or dead letters. */
export interface Space {
  readonly namespace: string
  /** How many partitions there are. Fixed when the namespace was created. */
  readonly partitions: number
  readonly capabilities: Capabilities
  /**
   * Sends a batch. Each outcome says whether that send is stored; `certain: false` means it may be.
   * Checks sizes before any effect. Duplicates by the same id are allowed at the receiver; loss after `ok` is not.
   * No order is promised between sends.
   */
  send(batch: readonly Send[]): Promise<readonly SendOutcome[]>
  /** Receives from several queues at once. */
  consume(options: ConsumeOptions): TaskConsumer
  /** Takes part in owning the partitions. */
  own(options: OwnOptions): PartitionHost
  /** An address for replies to this process. Best effort: a reply may be lost, never invented. */
  replies(onReply: (body: Bytes) => void): Promise<ReplyAddress>
  /** Best-effort broadcast to every process that has this namespace open, this one included. */
  signal(body: Bytes): Promise<void>
  /** Subscribes to broadcasts; returns how to stop. */
  onSignal(handler: (body: Bytes) => void): () => void
  /** The age, in ms, of the oldest message of the queue that nobody holds; `undefined` if there is none. May overstate. */
  backlog(queue: string): Promise<number | undefined>
  /** The store's clock, ms since the epoch; a transport without one answers with this process's clock. */
  now(): Promise<number>
  /** Reads committed rows without owning the partition, where the store allows it. */
  readonly reader?: RowReader
  readonly events: EventLog
  readonly dead: DeadLetters
  readonly blobs: Blobs
  close(): Promise<void>
}

export type Target =
  | { readonly to: 'task'; readonly queue: string; readonly priority?: number }
  | { readonly to: 'inbox'; readonly partition: number }
  | { readonly to: 'events'; readonly partition: number }
  | { readonly to: 'reply'; readonly address: string }
  | { readonly to: 'dead'; readonly letter: DeadLetterInfo }

export interface Send {
  readonly target: Target
  readonly id: string
  readonly body: Bytes
}

export type SendOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly certain: boolean; readonly error: Error }

export interface ReplyAddress {
  readonly address: string
  close(): Promise<void>
}

// ---- Task queues ---------------------------------------------------------------------------------------------------

export interface ConsumeOptions {
  readonly queues: readonly string[]
  /** How long a delivery is held before it comes back, in ms, unless extended. */
  readonly leaseMs: number
}

export interface TaskConsumer {
  /**
   * Up to `max` messages, higher priorities first; waits up to `waitMs` for the first one. Aborting the signal ends the wait
   * with an empty batch, and no message is lost by it.
   * A message whose lease ran out comes back as a **suspect** (`deliveries` > 1): a batch holds at most one, and only if
   * `suspects` is true. So a task that kills its process is delivered alone, and does not take its neighbours with it.
   */
  receive(options: ReceiveOptions): Promise<readonly Lease[]>
  /**
   * Applies `sends`, then the settlements: when a settlement has taken effect, every one of `sends` is stored. If it rejects, any part
   * may have happened, and it may be called again with the same arguments. A settlement whose lease is stale (ran out and
   * went to somebody else, or was settled) is a no-op; the sends are still made.
   */
  settle(settlements: readonly Settlement[], sends: readonly Send[]): Promise<void>
  /** Renews leases for another `leaseMs`; stale ones are ignored. */
  extend(leases: readonly Lease[]): Promise<void>
  /** Stops receiving. What is still held comes back when its lease runs out; return it first to be quicker. Idempotent. */
  close(): Promise<void>
}

export interface ReceiveOptions {
  readonly max: number
  readonly waitMs: number
  readonly suspects: boolean
  readonly signal?: AbortSignal
}

export interface Lease {
  readonly id: string
  readonly queue: string
  readonly body: Bytes
  /** How often the message was handed out, this time included and returned ones (`op: 'return'`) not. May understate. */
  readonly deliveries: number
  /** The adapter's own; core only hands it back. */
  readonly token: unknown
}

export type Settlement =
  | { readonly lease: Lease; readonly op: 'ack' }
  /** Back to the queue, uncounted. Not handed out for about `delayMs`; earlier is allowed. */
  | { readonly lease: Lease; readonly op: 'return'; readonly delayMs: number }
  | { readonly lease: Lease; readonly op: 'dead'; readonly letter: DeadLetterInfo }

// ---- Partitions ----------------------------------------------------------------------------------------------------

export interface OwnOptions {
  /** How long ownership lasts without a heartbeat, in ms. Liveness only: safety comes from the fence. */
  readonly leaseMs: number
}

export interface PartitionHost {
  /**
   * Claims a fair share of the partitions, and calls `onOwned` once per claim. When the promise of `onOwned` settles, the
   * partition is released at once. Resolves when `signal` has aborted and every session has ended.
   */
  run(onOwned: (session: PartitionSession) => Promise<void>, signal: AbortSignal): Promise<void>
}

export interface RowReader {
  /** The committed values, in the order of the keys. */
  load(partition: number, keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]>
  /** Committed rows whose key starts with `prefix` and is greater than `after`, in order, at most `limit`. `prefix` holds a whole entity. */
  scan(
    partition: number,
    prefix: string,
    after: RowKey | undefined,
    limit: number,
  ): Promise<readonly (readonly [RowKey, Bytes])[]>
}

/**
 * Ownership of one partition, from claim to loss. After `onOwned` was called for this session, no commit of an earlier session
 * succeeds: the store itself refuses it, whatever the clocks say.
 */
export interface PartitionSession {
  readonly partition: number
  /** Names this claim, `<epoch>-<nonce>`, never used twice, even by a store that lost its tail. Send ids start with it. */
  readonly claim: string
  /** Grows with every claim. */
  readonly epoch: number
  /** The last committed sequence number; 0 at first. Counts over all sessions. */
  readonly seq: number
  /** `time` of the last commit; 0 at first. */
  readonly time: number
  /** Fires when ownership has ended, or should end (the reason says which): finish the commit in flight, then return. */
  readonly lost: AbortSignal
  load(keys: readonly RowKey[]): Promise<readonly (Bytes | undefined)[]>
  scan(prefix: string, after: RowKey | undefined, limit: number): Promise<readonly (readonly [RowKey, Bytes])[]>
  /**
   * The next inbox messages. The first poll starts after the last committed `through`; later ones go on from the last returned. Waits up to
   * `waitMs` for the first; a session has at most one poll at a time. Every send that was answered `ok` appears, at least once.
   */
  poll(options: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<readonly InboxMessage[]>
  /**
   * Applies a commit, all or nothing, if this session still owns the partition and `seq` is the next one.
   * Resolves: applied, and the sends are stored or will be delivered whatever happens. The adapter settles unknown outcomes itself.
   * `TASKS_TOO_LARGE`, `TASKS_ROW_EXISTS`: not applied, the session goes on. `TASKS_FENCED`: not applied, the session is over.
   * `TASKS_UNAVAILABLE`: not known, the session is over. Core never repeats a commit. At most one commit at a time.
   */
  commit(commit: Commit): Promise<void>
}

export interface InboxMessage {
  readonly position: Position
  readonly id: string
  readonly body: Bytes
}

export interface Commit {
  /**
   * The session's `seq` + 1 for the first commit, then one more each time; the same again only after `TASKS_TOO_LARGE` or `TASKS_ROW_EXISTS`. So a number that was
   * applied names one commit for ever: an adapter that repeats it after a lost answer may know by the number, and the claim, that it was applied.
   */
  readonly seq: number
  /** The engine's clock, ms since the epoch, kept and given back as `session.time`. */
  readonly time: number
  /** Inbox messages up to here are consumed. Absent: unchanged. */
  readonly through?: Position
  /** `null` deletes. */
  readonly rows: ReadonlyMap<RowKey, Bytes | null>
  /** There are no such rows; if there is one, nothing is applied: `TASKS_ROW_EXISTS`. Only where `capabilities.checksAbsent` says so. */
  readonly absent?: readonly RowKey[]
  readonly sends: readonly Send[]
}

// ---- Events --------------------------------------------------------------------------------------------------------

/** An event is kept until it is older than `maxAgeMs`, or `maxBytes` of newer ones follow it in its partition; it may be kept longer. */
export interface EventRetention {
  readonly maxAgeMs: number
  readonly maxBytes: number
}

/**
 * What has happened, kept for a while: a log for each partition, read by anybody from any place on, any number of times. Reading takes nothing
 * away, and no reader, slow or dead, holds up whoever sends.
 */
export interface EventLog {
  /** What this connection asks for. */
  readonly retention: EventRetention
  /**
   * What follows the given positions, at most `max` events in all; waits up to `waitMs` for the first. Aborting the signal ends the wait with nothing.
   * Every event of an applied commit, and of a send that was answered `ok`, appears at least once, as it was sent. Events of commits first appear in the
   * order of the commits and of their sends; of plain sends no order is promised. Nothing ever appears before a position that was handed out.
   */
  read(options: ReadEvents): Promise<readonly EventPage[]>
  /** By partition: the end of what is stored now; or the place before everything that was stored at `since` (store's clock) or later. */
  positions(since?: number): Promise<readonly Position[]>
  /** Joins a named subscription. A name that is new begins after `from`, by partition (`undefined`: at the beginning); a known one goes on where it is. */
  subscribe(options: SubscribeOptions): Promise<EventSubscription>
  /** Forgets a subscription whose members have closed: its name is new again. */
  forget(name: string): Promise<void>
}

export interface ReadEvents {
  /** The partitions to read, each with the position after which to begin; `undefined` is the oldest event that is kept. */
  readonly after: ReadonlyMap<number, Position | undefined>
  readonly max: number
  readonly waitMs: number
  readonly signal?: AbortSignal
}

/** Events of one partition that follow each other. */
export interface EventPage {
  readonly partition: number
  /** Retention has dropped something between the position that was asked for and the first of `events`. Only then may `events` be empty. */
  readonly gap: boolean
  readonly events: readonly StoredEvent[]
  /** What to read on after: the position of the last of `events`. */
  readonly position: Position
}

export interface StoredEvent {
  readonly position: Position
  readonly id: string
  readonly body: Bytes
}

export interface SubscribeOptions {
  readonly name: string
  readonly from: readonly (Position | undefined)[]
  /** How long a page is held before another member may get it, in ms, unless extended. */
  readonly leaseMs: number
}

/**
 * One member of a subscription, which remembers how far it has come and shares the load by partition: a page of a partition is held by one member
 * at a time, and the next page of that partition is handed out, to any member, once this one is settled, or again once its lease has run out.
 */
export interface EventSubscription {
  /** The next page that nobody holds; waits up to `waitMs` for it, and answers `undefined` then, or when the signal is aborted. */
  receive(options: {
    readonly max: number
    readonly waitMs: number
    readonly signal?: AbortSignal
  }): Promise<HeldPage | undefined>
  /** The partition goes on after this page. A page whose lease ran out and that went to somebody else is passed over. */
  settle(page: HeldPage): Promise<void>
  /** Holds it for another `leaseMs`; stale ones are ignored. */
  extend(page: HeldPage): Promise<void>
  /** Leaves, and lets go of what is not settled. Idempotent. */
  close(): Promise<void>
}

export interface HeldPage extends EventPage {
  /** The adapter's own; core only hands it back. */
  readonly token: unknown
}

// ---- Dead letters --------------------------------------------------------------------------------------------------

export interface DeadLetterInfo {
  /** Why: `undecodable`, `too-large`, `unknown-task`, `failed`, `max-deliveries`. Open for later versions. */
  readonly reason: string
  /** For people: one line. */
  readonly message: string
  /** Where it was: the name of the queue, or `inbox/<partition>`. */
  readonly source: string
  /** The pipeline it belongs to, if any: such a letter is not redriven but its pipeline retried. */
  readonly pipelineId?: string
  /** The task it names, if known. */
  readonly task?: string
  /** What the failure looked like: a serialised `Failure`. */
  readonly failure?: string
}

export interface DeadLetter {
  readonly id: string
  readonly at: number
  readonly info: DeadLetterInfo
  readonly body: Bytes
}

export interface DeadLetters {
  /** In order of arrival, after the letter with id `after`. */
  list(options: { readonly after?: string; readonly limit: number }): Promise<readonly DeadLetter[]>
  get(id: string): Promise<DeadLetter | undefined>
  /** Makes `send` and removes the letter, in this order: a crash between the two repeats the send. False if there is no such letter. */
  redrive(id: string, send: Send): Promise<boolean>
  /** Removes it. False if there is no such letter. */
  drop(id: string): Promise<boolean>
}

// ---- Blobs ---------------------------------------------------------------------------------------------------------

/** Large values, write-once, in pages of at most `capabilities.maxMessageBytes`. Stored once `put` has resolved. */
export interface Blobs {
  put(key: string, page: number, bytes: Bytes): Promise<void>
  get(key: string, page: number): Promise<Bytes | undefined>
  /** Drops every blob whose key starts with `prefix`. */
  drop(prefix: string): Promise<void>
  /** Keys in order, each with the time of its first page in ms since the epoch. */
  list(options: {
    readonly after?: string
    readonly limit: number
  }): Promise<readonly { readonly key: string; readonly at: number }[]>
}
