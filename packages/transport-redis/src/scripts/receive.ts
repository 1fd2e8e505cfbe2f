import { lua, script } from '../script'
import { MARKS, NOW, TAKE } from './shared'

const LOOK_FOR = lua`
local answer = { -1, 0 }
local function give(k, value)
  answer[#answer + 1] = (k - 2) / 6
  answer[#answer + 1] = value
end

-- One of the batches that are named from ARGV[from] on, if it is there, with a lease from now on: it may have waited for long. The others, if there are any, are
-- nobody's: their leases run out. One that has run out is whole as long as no member of it has been taken.
local function lookFor(from, ends)
  for i = from, #ARGV do
    for k = 2, #KEYS, 6 do
      local value = redis.call('HGET', KEYS[k + 2], ARGV[i])
      if value and redis.call('HEXISTS', KEYS[k + 2], ARGV[i] .. '!') == 0 then
        redis.call('ZADD', KEYS[k + 3], 'XX', ends, ARGV[i])
        give(k, value)
      end
    end
    if #answer > 2 then
      answer[2] = i - from + 1
      return true
    end
  end
end
`

/**
 * Receives from several queues, or, if there is nothing, waits there: who sends next hands the message over.
 *
 * KEYS: waiting, then those of the queues.
 * ARGV: batch, max, leaseMs, suspects, waiter, waits (1: if there is nothing), channel, then earlier batches: what may have been handed over already, by a sender or to
 * a try whose answer was lost.
 * Answers ms until something becomes due (-1: nothing will), which batch it is (0: `batch`, else the place among the earlier), then the place of each queue that gave
 * something, and the batch's value there.
 * Each try names another batch: one that arrives late, when it has been asked again, touches nothing that was handed out.
 */
export const receive = script(
  'receive',
  lua`
${NOW}${TAKE}${MARKS}${LOOK_FOR}
local WAITING = KEYS[1]
local batch, max, leaseMs, suspects, waiter = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5]

-- Also the write that needs no memory: what follows ends work, and is not refused when the server has none.
redis.call('HDEL', WAITING, waiter)
local time = now()
if lookFor(8, time + leaseMs) then return answer end

local next

-- Nobody waits for longer than a lease. What a process has left that was killed is removed by who sends; where nobody does, it goes with its key.
local function passesBy(key)
  local at = string.format('%.0f', time + 2 * leaseMs + 60000)
  redis.call('PEXPIREAT', key, at, 'NX')
  redis.call('PEXPIREAT', key, at, 'GT')
end

-- What was given back for later and is due: to its place again, or, if it has been a suspect, among the suspects.
for k = 2, #KEYS, 6 do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[k + 4], '-inf', time, 'LIMIT', 0, 100)) do
    local value = redis.call('HGET', KEYS[k + 2], id)
    checkQueue(k)
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

-- What is taken from a queue has to go into a batch: nothing is taken before it is seen that this can be.
local full = {}
for k = 2, #KEYS, 6 do
  if redis.call('LLEN', KEYS[k]) + redis.call('ZCARD', KEYS[k + 1]) > 0 then
    redis.call('HLEN', KEYS[k + 2])
    redis.call('ZCARD', KEYS[k + 3])
    full[#full + 1] = k
  end
end

-- Raised priorities of all queues come first. Which queue is the first turns with every call, so that a full one cannot keep the others waiting.
local made, left = {}, max
for _, popSome in ipairs({ popHigh, popReady }) do
  for _, k in ipairs(full) do
    if left == 0 then break end
    made[k] = made[k] or newBatch()
    local before = made[k].count
    popSome(k, before + left, made[k])
    left = left - (made[k].count - before)
  end
end
for _, k in ipairs(full) do
  if made[k] and made[k].count > 0 then give(k, hold(k, batch, made[k], time + leaseMs)) end
end
if #answer > 2 then return answer end

if ARGV[6] == '1' then
  redis.call('HSET', WAITING, waiter, table.concat({ ARGV[7], batch, max, leaseMs, ARGV[4] }, '\n'))
  for k = 2, #KEYS, 6 do
    redis.call('ZADD', KEYS[k + 5], 'NX', time, waiter)
    passesBy(KEYS[k + 5])
  end
  passesBy(WAITING)
end
if next then answer[1] = math.max(0, next - time) end
return answer
`,
  { repeatable: true },
)

/** A receive waits no longer. KEYS: those of the receive. ARGV: waiter, leaseMs, then its batches. Answers as the receive: what has been handed over meanwhile. */
export const stopWaiting = script(
  'stop waiting',
  lua`
${NOW}${LOOK_FOR}
redis.call('HDEL', KEYS[1], ARGV[1])
for k = 2, #KEYS, 6 do redis.call('ZREM', KEYS[k + 5], ARGV[1]) end
lookFor(3, now() + tonumber(ARGV[2]))
return answer
`,
  { repeatable: true },
)
