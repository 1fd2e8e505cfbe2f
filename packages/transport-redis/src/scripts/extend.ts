import { lua, script } from '../script'
import { MARKS, NOW } from './shared'

/**
 * Renews leases. A batch of which everything unsettled is wanted keeps its place, unless most of it is settled: then what is left is copied out, so that one
 * long task does not keep the bytes of its neighbours.
 *
 * KEYS: those of queues. ARGV: leaseMs, then of each batch: place of its queue's keys, batch, its number of frames, number of leases, and of each of those its offset
 * and a new batch. Answers for each batch 1 if its leases are in new batches now, each alone.
 */
export const extend = script(
  'extend',
  lua`
${NOW}${MARKS}
local ends = now() + tonumber(ARGV[1])
local answer, at = {}, 2
while ARGV[at] do
  local k, batch, count, leases = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local first = at + 4
  at = first + 2 * leases
  local split = 0
  if redis.call('HEXISTS', KEYS[k + 2], batch) == 1 then
    local marks = redis.call('HGET', KEYS[k + 2], batch .. '!') or ''
    if #marks / 8 + leases >= count and leases * 2 >= count then redis.call('ZADD', KEYS[k + 3], 'XX', ends, batch)
    else
      split = 1
      local value = redis.call('HGET', KEYS[k + 2], batch)
      for i = first, at - 1, 2 do
        local offset = ARGV[i]
        if not isMarked(marks, offset) then
          local from = tonumber(offset) + 1
          redis.call('HSET', KEYS[k + 2], ARGV[i + 1], string.sub(value, 1, 1) .. string.sub(value, from, from + struct.unpack('>I4', value, from) - 1))
          redis.call('ZADD', KEYS[k + 3], ends, ARGV[i + 1])
          marks = marks .. offset
        end
      end
      mark(k, batch, marks, count)
    end
  else
    -- A try whose answer was lost may have moved all of it.
    split = redis.call('HEXISTS', KEYS[k + 2], ARGV[first + 1])
  end
  answer[#answer + 1] = split
end
return answer
`,
  { repeatable: true },
)
