import { lua, script } from '../script'
import { MARKS, NOW, TAKE } from './shared'

/**
 * Receives from several queues, or, if there is nothing, waits there: who sends next hands the message over.
 *
 * KEYS: waiting, then those of the queues.
 * ARGV: batch, max (0: only what this batch has got already), leaseMs, suspects, waiter (empty: do not wait), channel, again (1: the batch may have been handed
 * over already, by a sender or to a try whose answer was lost).
 * Answers ms until something becomes due (-1: nothing will), then the place of each queue that gave something, and the batch's value there.
 * With the same batch it answers the same.
 */
export const receive = script(
  'receive',
  lua`
${NOW}${TAKE}${MARKS}
local WAITING = KEYS[1]
local batch, max, leaseMs, suspects, waiter = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5]
local answer = { -1 }
local function give(k, value)
  answer[#answer + 1] = (k - 2) / 6
  answer[#answer + 1] = value
end

if ARGV[7] == '1' then
  if waiter ~= '' then redis.call('HDEL', WAITING, waiter) end
  for k = 2, #KEYS, 6 do
    local value = redis.call('HGET', KEYS[k + 2], batch)
    if value then give(k, value) end
    if max == 0 and waiter ~= '' then redis.call('ZREM', KEYS[k + 5], waiter) end
  end
  if #answer > 1 or max == 0 then return answer end
end

local time = now()
local next

-- What was given back for later and is due: to its place again, or, if it has been a suspect, among the suspects.
for k = 2, #KEYS, 6 do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[k + 4], '-inf', time, 'LIMIT', 0, 100)) do
    local value = redis.call('HGET', KEYS[k + 2], id)
    if string.byte(value) > 0 then redis.call('ZADD', KEYS[k + 3], time, id)
    else
      redis.call('HDEL', KEYS[k + 2], id)
      putBack(k, string.sub(value, 2))
    end
    redis.call('ZREM', KEYS[k + 4], id)
  end
  local due = redis.call('ZRANGE', KEYS[k + 4], 0, 0, 'WITHSCORES')[2]
  if due and (not next or tonumber(due) < next) then next = tonumber(due) end
end

-- A suspect: the first member of a batch whose lease ran out, alone, in a batch of its own.
if suspects then
  for k = 2, #KEYS, 6 do
    local oldest = redis.call('ZRANGE', KEYS[k + 3], 0, 0, 'WITHSCORES')
    while oldest[1] and tonumber(oldest[2]) <= time do
      local id = oldest[1]
      local value = redis.call('HGET', KEYS[k + 2], id)
      local marks = redis.call('HGET', KEYS[k + 2], id .. '!') or ''
      local at, found = 2, nil
      while at <= #value and not found do
        local length = struct.unpack('>I4', value, at)
        local offset = string.format('%08d', at - 1)
        if not isMarked(marks, offset) then
          found = string.char(math.min(string.byte(value) + 1, 255)) .. string.sub(value, at, at + length - 1)
          marks = marks .. offset
        end
        at = at + length
      end
      if at > #value then dropBatch(k, id)
      else redis.call('HSET', KEYS[k + 2], id .. '!', marks) end
      if found then
        redis.call('HSET', KEYS[k + 2], batch, found)
        redis.call('ZADD', KEYS[k + 3], time + leaseMs, batch)
        give(k, found)
        return answer
      end
      oldest = redis.call('ZRANGE', KEYS[k + 3], 0, 0, 'WITHSCORES')
    end
    if oldest[1] and (not next or tonumber(oldest[2]) < next) then next = tonumber(oldest[2]) end
  end
end

-- Raised priorities of all queues come first. Which queue is the first turns with every call, so that a full one cannot keep the others waiting.
local made, left = {}, max
for _, popSome in ipairs({ popHigh, popReady }) do
  for k = 2, #KEYS, 6 do
    if left == 0 then break end
    made[k] = made[k] or newBatch()
    local before = made[k].count
    popSome(k, before + left, made[k])
    left = left - (made[k].count - before)
  end
end
for k = 2, #KEYS, 6 do
  if made[k] and made[k].count > 0 then give(k, hold(k, batch, made[k], time + leaseMs)) end
end
if #answer > 1 then return answer end

if waiter ~= '' then
  redis.call('HSET', WAITING, waiter, ARGV[6] .. '\n' .. batch .. '\n' .. max .. '\n' .. leaseMs)
  for k = 2, #KEYS, 6 do redis.call('ZADD', KEYS[k + 5], 'NX', time, waiter) end
end
if next then answer[1] = math.max(0, next - time) end
return answer
`,
  { repeatable: true },
)
