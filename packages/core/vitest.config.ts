import { suite } from '@tasks/dev-config/vitest'

// Many small files without state of their own: a process and an import of core for each would take longer than most of them.
export default suite({ name: 'core', test: { isolate: false } })
