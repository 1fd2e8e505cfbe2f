import type { Tasks } from '../tasks'

/** What a worker needs of a registry. */
export type TaskSource = Pick<Tasks, 'namespace' | 'find' | 'names' | 'queues'>
