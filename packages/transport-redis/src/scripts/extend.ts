import { lua, script } from '../script'
import { MARKS, NOW } from './shared'

/**
 * Renews leases. A batch of which everything unsettled is wanted keeps its place, unless most of it is settled: then what is left is copied out, so that one
 * long task does not keep the bytes of its neighbours.
 *
 * KEYS: those of queues. ARGV: leaseMs, then of each batch: place of its queue's keys, batch, its number of frames, how many of them are wanted (those that are being
 * settled, too), number of leases, and of each of those its offset and a new batch.
 * Answers for each batch 1: it is where it was; or of each of its leases 2: it is in the new batch, moved now or by an earlier try; 1: it is where it was; 0: it is not held.
 */
export const extend = script(
  'extend',
  lua`
${NOW}${MARKS}
local ends = now() + tonumber(ARGV[1])
-- A write that needs no memory: without any, a server refuses a script's first write if it may need some, and no later one.
redis.call('HDEL', KEYS[tonumber(ARGV[2]) + 2], '')
local answer, at = {}, 2
while ARGV[at] do
  local k, batch, count, wanted, leases = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local first = at + 5
  at = first + 2 * leases
  local isThere = redis.call('HEXISTS', KEYS[k + 2], batch) == 1
  local marks = redis.call('HGET', KEYS[k + 2], batch .. '!') or ''
  local isAllWanted = #marks / 8 + wanted >= count
  if isThere and isAllWanted and wanted * 2 >= count then
    redis.call('ZADD', KEYS[k + 3], 'XX', ends, batch)
    answer[#answer + 1] = 1
  else
    local value = isThere and redis.call('HGET', KEYS[k + 2], batch)
    local places = {}
    for i = first, at - 1, 2 do
      local offset, alone = ARGV[i], ARGV[i + 1]
      if not isThere or isMarked(marks, offset) then
        if redis.call('ZADD', KEYS[k + 3], 'XX', 'CH', ends, alone) == 1 then places[#places + 1] = 2
        else places[#places + 1] = redis.call('HEXISTS', KEYS[k + 2], alone) * 2 end
      else
        local from = tonumber(offset) + 1
        redis.call('HSET', KEYS[k + 2], alone, string.sub(value, 1, 1) .. string.sub(value, from, from + struct.unpack('>I4', value, from) - 1))
        redis.call('ZADD', KEYS[k + 3], ends, alone)
        marks = marks .. offset
        places[#places + 1] = 2
      end
    end
    if isThere and #places > 0 then mark(k, batch, marks, count) end
    -- What is left is being settled.
    if isAllWanted then redis.call('ZADD', KEYS[k + 3], 'XX', ends, batch) end
    answer[#answer + 1] = places
  end
end
return answer
`,
  { repeatable: true },
)
