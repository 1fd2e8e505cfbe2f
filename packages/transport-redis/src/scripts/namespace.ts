import { lua, script } from '../script'
import { NOW } from './shared'

/**
 * Opens a namespace. KEYS: meta. ARGV: format, partitions to create it with (empty: do not create it). Answers format and partitions; nil if it is not there.
 */
export const openNamespace = script(
  'open',
  lua`
${NOW}
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[2] == '' then return false end
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'created', now())
end
return redis.call('HMGET', KEYS[1], 'format', 'partitions')
`,
  { repeatable: true },
)
