/** Of every worker. */
export const CONCURRENCY = 100
