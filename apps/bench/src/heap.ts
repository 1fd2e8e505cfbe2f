/** What this process holds after a full collection, in bytes: objects and buffers. Memory that SQLite allocates itself is not seen. */
export async function heldBytes(): Promise<number> {
  // Finalizers run between two turns of the event loop.
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
