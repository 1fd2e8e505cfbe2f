import { lua, script } from '../script'
import { MARKS, NOW } from './shared'

/** The age in ms of the oldest message of a queue that nobody holds; nil if there is none. KEYS: waiting, then those of the queue. */
export const backlog = script(
  'backlog',
  lua`
${NOW}${MARKS}
local k, time = 2, now()
local oldest
local function look(frame)
  local sent = frame and struct.unpack('>I6', frame, 6)
  if sent and (not oldest or sent < oldest) then oldest = sent end
end
local bundle = redis.call('LINDEX', KEYS[k], 0)
look(bundle and string.sub(bundle, 3, 16))
for priority = 1, 9 do
  local low = string.format('(%.0f', (-priority - 1) * 281474976710656)
  local first = redis.call('ZRANGEBYSCORE', KEYS[k + 1], low, string.format('%.0f', (1 - priority) * 281474976710656), 'LIMIT', 0, 1)
  look(first[1])
end
-- Batches without a holder: their lease ran out, or they were given back for later.
local function lookAt(key, most)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', most, 'LIMIT', 0, 100)) do
    local value = redis.call('HGET', KEYS[k + 2], id)
    local marks = redis.call('HGET', KEYS[k + 2], id .. '!') or ''
    local at = 2
    while at <= #value do
      if not isMarked(marks, string.format('%08d', at - 1)) then look(string.sub(value, at, at + 12)) end
      at = at + struct.unpack('>I4', value, at)
    end
  end
end
lookAt(KEYS[k + 3], time)
lookAt(KEYS[k + 4], '+inf')
if not oldest then return false end
return math.max(0, time - oldest)
`,
  { repeatable: true },
)
