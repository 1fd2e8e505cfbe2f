// What this adapter asks of a client of Kafka, and all that it asks: twelve functions. Kafka's protocol stands behind it (protocol/), on the connections of one library or another (clients.ts).
//
// K1. Every call settles: by an answer, or with `TASKS_UNAVAILABLE` when its patience is over. `details.applied` says whether it may have had an effect.
// K2. Records of one batch are stored together, in order, at consecutive offsets.
// K3. What is read is committed, and is the data alone: no markers, nothing that was aborted.

/** A record as it is written. Keys never begin with four zero bytes: some clients take such a key for an abort marker. */
export interface NewRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
}

export interface LogRecord extends NewRecord {
  readonly offset: number
  /** By the broker's clock where the topic says so, ms since the epoch. */
  readonly time: number
}

export interface Place {
  readonly topic: string
  readonly partition: number
}

export interface Batch extends Place {
  readonly records: readonly NewRecord[]
}

/** What has become of a batch: the offset of its first record, or why it is not known to be stored. */
export type Stored = { readonly ok: true; readonly offset: number } | { readonly ok: false; readonly error: Error }

export interface Range {
  readonly start: number
  /** Behind the last record that can be read. */
  readonly end: number
}

export interface Chunk {
  /** Where it was read from. */
  readonly from: number
  readonly records: readonly LogRecord[]
  /** Where to read on. */
  readonly next: number
  readonly range: Range
}

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  readonly settings: Readonly<Record<string, string>>
}

export interface TopicFacts {
  readonly partitions: number
  readonly replicas: number
  /** Absent if the user may not look. */
  readonly settings: Readonly<Record<string, string>> | undefined
}

export interface ClusterFacts {
  readonly brokers: number
  /** For people. */
  readonly version: string
}

export interface KafkaDriver {
  cluster(): Promise<ClusterFacts>
  /** Those that exist. */
  describe(topics: readonly string[]): Promise<ReadonlyMap<string, TopicFacts>>
  /** Where the brokers write the ends of transactions; undefined if the user may not look at it. Made by looking, if there was none. */
  ends(transactionalId: string): Promise<TopicFacts | undefined>
  /** Leaves those alone that exist. */
  create(topics: readonly TopicSpec[], replicas: number): Promise<void>
  /** Stores batches, each by itself, outside of transactions. They are made again until they are answered: a batch may be stored twice. */
  produce(batches: readonly Batch[]): Promise<readonly Stored[]>
  /** What there is from an offset on, at once; an empty chunk at the end. Behind the start of the log, from there. */
  read(place: Place, from: number): Promise<Chunk>
  /**
   * Calls back with what there is from an offset on, and with what comes, until it is stopped. Never fails: it tries again. A chunk that does not begin where the last ended
   * says that there is nothing to be read there any more.
   */
  follow(place: Place, from: number, onChunk: (chunk: Chunk) => void): () => void
  range(place: Place): Promise<Range>
  /** The offset of the first record that is not older; the end if there is none. */
  offsetAt(place: Place, time: number): Promise<number>
  /** Lets go of what is before an offset. */
  truncate(place: Place, before: number): Promise<void>
  /**
   * Takes the transactional id: whoever had it before is fenced, and what it left open is aborted before this resolves.
   * @param isWanted looked at before each try: one that comes after somebody else has taken over would fence the rightful owner
   */
  takeOver(transactionalId: string, isWanted?: () => boolean): Promise<Transactor>
  close(): void
}

export interface Transactor {
  /**
   * Stores all of it or nothing, and answers the offsets of the batches. One at a time.
   * `TASKS_FENCED`: nothing is stored, somebody has taken over. `TASKS_UNAVAILABLE`: see `details.applied`. After a rejection it is of no use any more: the
   * broker may still hold a request of it that is only late, and the next to take over is what settles that.
   */
  transact(batches: readonly Batch[]): Promise<readonly number[]>
  close(): void
}
