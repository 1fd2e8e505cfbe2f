import { lua, script } from '../script'
import { NOW } from './shared'

/** Stores a page, once. KEYS: blobs, the blob. ARGV: key, page, bytes. */
export const putPage = script(
  'put page',
  lua`
${NOW}
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'at', now(), ARGV[2], ARGV[3])
  redis.call('ZADD', KEYS[1], 0, ARGV[1])
else redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3]) end
return 1
`,
  { repeatable: true },
)

/** KEYS: blobs, those to drop. ARGV: their keys. */
export const dropBlobs = script(
  'drop blobs',
  lua`
redis.call('UNLINK', unpack(KEYS, 2))
redis.call('ZREM', KEYS[1], unpack(ARGV))
return 1
`,
  { repeatable: true },
)
