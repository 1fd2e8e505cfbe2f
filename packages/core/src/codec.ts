/**
 * Values to bytes and back. The engine moves, joins and stores encoded values without opening them; only clients and workers hold a codec,
 * and all of a namespace must hold the same. A codec that compresses or encrypts wraps another one: what it makes are
 * bytes like any others, so that nothing on the wire changes.
 */
export interface Codec {
  /** For messages to people. */
  readonly name: string
  /** Whether `encode` gives UTF-8 text, which goes into a definition as it is; other bytes go in as base64. */
  readonly text: boolean
  /**
   * Called for each argument list and each result. Does not change the value.
   * @throws TaskError TASKS_UNENCODABLE naming the path of what has no form, TASKS_VALUE_TOO_LARGE
   */
  encode(value: unknown): Uint8Array
  /**
   * @param bytes trusted no more than the broker they come from
   * @throws TaskError TASKS_UNDECODABLE, TASKS_VALUE_TOO_LARGE
   */
  decode(bytes: Uint8Array): unknown
  /** For a codec of text, optional: `encode` as text, `decode` of text. Saves copies of arguments in definitions, and of small results of groups. Who makes a codec of another by changing its `encode` or `decode` changes these, too, or leaves them out. */
  encodeText?(value: unknown): string
  decodeText?(text: string): unknown
}
