/** Asks again and again until `attempt` does not throw. */
export async function eventually<T>(attempt: () => T | Promise<T>): Promise<T> {
  for (const until = performance.now() + 20_000; ;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > until) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
