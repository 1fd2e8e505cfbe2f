import type { AnyTask, Tasks } from '../tasks'

/** What a worker needs of a registry. */
export interface TaskSource extends Pick<Tasks, 'namespace' | 'names' | 'queues'>, Partial<Pick<Tasks, 'events'>> {
  find(name: string): AnyTask | undefined
}
