import type { ConformanceCase } from '../case'

/** Whole pipelines over a transport: one file per subject beside this one, listed here, with the promise `engine`. */
export const engineCases: readonly ConformanceCase[] = []
