import { TaskError } from '@tasks/core/adapter'
import type { Synchronous } from './schema'

export interface Location {
  readonly path: string
  readonly synchronous?: Synchronous
}

/** Reads `sqlite:./tasks.db?synchronous=normal`. */
export function parseUrl(url: string): Location {
  const refuse = (why: string): TaskError =>
    new TaskError('TASKS_OPTIONS', `${url}: ${why}; write sqlite:./tasks.db, or sqlite:/var/lib/app/tasks.db`)
  if (!/^sqlite:/i.test(url)) throw refuse('this is not an sqlite: URL')
  const [location = '', query = ''] = url.slice('sqlite:'.length).split('?', 2)
  let path: string
  try {
    path = decodeURIComponent(location)
  } catch {
    throw refuse('a % is not followed by two hexadecimal digits')
  }
  if (path.startsWith('//')) {
    // sqlite:///var/lib/tasks.db has an empty host, as file: URLs do.
    if (!path.startsWith('///')) throw refuse('what follows // would be a host, and SQLite has none')
    path = path.slice(2)
  }
  if (path === '') throw refuse('the path is missing')
  const location_: { path: string; synchronous?: Synchronous } = { path }
  for (const [name, value] of new URLSearchParams(query)) {
    if (name !== 'synchronous') throw refuse(`there is no option "${name}"; the one option is synchronous`)
    if (value !== 'full' && value !== 'normal') throw refuse(`synchronous is full or normal, not "${value}"`)
    location_.synchronous = value
  }
  return location_
}
