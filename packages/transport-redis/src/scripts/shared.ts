// Lua that several scripts have in common.
import { lua } from '../script'

/** Server time in ms: the one clock that all processes share. */
export const NOW = lua`
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`

/** The id of a message that may not be there (frame.ts). */
export const ID_OF = lua`
local function idOf(frame)
  return frame and string.sub(frame, 14, 13 + struct.unpack('>I2', frame, 12))
end
`

/** How many values one command gets: `unpack` fails near 8,000. */
export const CHUNK = lua`
local CHUNK = 4000
`

/**
 * Taking a batch from a queue. `k` is the place of the queue's first key in KEYS, in the order of keys.ts.
 *
 * A held batch is one field of `batches`: a byte that counts deliveries, then the frames. What of it is settled stands in a second field, named with
 * a `!` behind: the offsets of those frames, eight digits each. The lease is its score in `leases`, so that renewing it is one write,
 * and one that has run out has moved nothing: its members are suspects, handed out one by one, and until then still their holder's.
 */
export const TAKE = lua`
-- A batch is copied half a dozen times on its way. Where a copy is larger than this the memory of each is given back to the system, and paged in anew: a task costs several times as much.
local MOST_BYTES = 65536

-- Appends messages to a batch that is being made.
local function add(made, frames, count)
  made.parts[#made.parts + 1] = frames
  made.count = made.count + count
  made.bytes = made.bytes + #frames
end

-- How many to pop next for so many messages. Those before tell how many are in one, and how large they are; twice as many at most: the next may be larger by far.
local function guess(popped, count, bytes, room, made)
  if popped == 0 then return 1 end
  return math.max(1, math.floor(math.min(room / count, (MOST_BYTES - made.bytes) / bytes, 2) * popped))
end

-- What is more than the batch may have goes back to where it was: the rest of what was popped, and of a bundle.
local function popHigh(k, most, made)
  local count, bytes = 0, 0
  while made.bytes < MOST_BYTES and made.count < most do
    local popped = redis.call('ZPOPMIN', KEYS[k + 1], guess(count, count, bytes, most - made.count, made))
    if #popped == 0 then return end
    for i = 1, #popped, 2 do
      if made.bytes < MOST_BYTES then
        count, bytes = count + 1, bytes + #popped[i]
        add(made, popped[i], 1)
      else redis.call('ZADD', KEYS[k + 1], popped[i + 1], popped[i]) end
    end
  end
end

local function popReady(k, most, made)
  local bundles, messages, bytes = 0, 0, 0
  while made.bytes < MOST_BYTES and made.count < most do
    local popped = redis.call('LPOP', KEYS[k], guess(bundles, messages, bytes, most - made.count, made))
    if not popped then return end
    for i = 1, #popped do
      local bundle = popped[i]
      local count, room = struct.unpack('>I2', bundle), made.bytes < MOST_BYTES and most - made.count or 0
      if count > room then
        for j = #popped, i + 1, -1 do redis.call('LPUSH', KEYS[k], popped[j]) end
        local to = 2
        for j = 1, room do to = to + struct.unpack('>I4', bundle, to + 1) end
        redis.call('LPUSH', KEYS[k], room == 0 and bundle or struct.pack('>I2', count - room) .. string.sub(bundle, to + 1))
        if room > 0 then add(made, string.sub(bundle, 3, to), room) end
        return
      end
      bundles, messages, bytes = bundles + 1, messages + count, bytes + #bundle
      add(made, string.sub(bundle, 3), count)
    end
  end
end

-- Up to max messages more, raised priorities first.
local function pop(k, max, made)
  local most = made.count + max
  popHigh(k, most, made)
  popReady(k, most, made)
end

local function newBatch()
  return { count = 0, bytes = 0, parts = { '\1' } }
end

local function hold(k, batch, made, ends)
  local value = table.concat(made.parts)
  redis.call('HSET', KEYS[k + 2], batch, value)
  redis.call('ZADD', KEYS[k + 3], ends, batch)
  return value
end

-- Fails if one of the keys is of another type.
local function checkQueue(k)
  redis.call('LLEN', KEYS[k])
  redis.call('HLEN', KEYS[k + 2])
  for i = 1, 5 do
    if i ~= 2 then redis.call('ZCARD', KEYS[k + i]) end
  end
end

-- Puts a message that was handed out before the others of its priority.
local function putBack(k, frame)
  local priority = string.byte(frame, 5)
  if priority == 0 then redis.call('LPUSH', KEYS[k], '\0\1' .. frame)
  else redis.call('ZADD', KEYS[k + 1], string.format('%.0f', -priority * 281474976710656), frame) end
end
`

/**
 * The marks of what is settled of a batch. An offset is marked at most once, so that their number tells when nothing is left.
 */
export const MARKS = lua`
local function isMarked(marks, offset)
  local at = string.find(marks, offset, 1, true)
  while at and at % 8 ~= 1 do at = string.find(marks, offset, at + 1, true) end
  return at ~= nil
end

local function dropBatch(k, batch)
  redis.call('HDEL', KEYS[k + 2], batch, batch .. '!')
  redis.call('ZREM', KEYS[k + 3], batch)
end

-- Stores the marks, or drops the batch when all of its frames have one.
local function mark(k, batch, marks, count)
  if #marks >= 8 * count then dropBatch(k, batch)
  else redis.call('HSET', KEYS[k + 2], batch .. '!', marks) end
end
`

/**
 * Storing sends and waking whoever waits for them. The groups of ARGV are made by outbox.ts:
 *
 *   t  k  n  bundles…    to a queue whose keys start at KEYS[k]
 *   h  k  n  (priority, frame)…
 *   i  k  n  frames…     to an inbox: KEYS[k] is its partition's state, KEYS[k + 1] the list
 *   e  k  n  partition  channel  maxAgeMs  maxBytes  (id, body)…   to an event log: KEYS[k] is the stream, KEYS[k + 1] its partition's state
 *   r  channel  payload  a reply
 *   d  id  info  body    a dead letter
 *
 * KEYS[1] is `waiting`, KEYS[2] `order`, KEYS[3] `dead`. It wants CHUNK, NOW and TAKE before it. A script asks for `refusal` first, and writes if there is none.
 */
export const DELIVER = lua`
local FOR_EVER = 1e12   -- ms

-- Whether somebody waits for a queue: found out by check, with what handing over to him needs.
local awaited = {}
local function checkWaiters(k)
  awaited[k] = redis.call('ZCARD', KEYS[k + 5]) > 0
  if awaited[k] then
    redis.call('HLEN', KEYS[1])
    checkQueue(k)
  end
end

-- The next number of the order of raised priorities, and whether something is sent that is to be worked at: that is what a server without memory refuses.
local order, queues = 0, false

-- Fails if a key that the sends are going to need is of another type. It writes nothing, but for the counter of raised priorities, in the end.
local function check(from)
  local i, high = from, 0
  while ARGV[i] do
    local kind = ARGV[i]
    if kind == 'r' then i = i + 3
    elseif kind == 'd' then
      redis.call('XLEN', KEYS[3])
      i, queues = i + 4, true
    else
      local k, n = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
      if kind == 'e' then
        redis.call('XLEN', KEYS[k])
        redis.call('HLEN', KEYS[k + 1])
        i = i + 7 + n
      else
        queues = true
        if kind == 't' then
          redis.call('LLEN', KEYS[k])
          checkWaiters(k)
          i = i + 3 + n
        elseif kind == 'h' then
          redis.call('ZCARD', KEYS[k + 1])
          checkWaiters(k)
          high = high + n
          i = i + 3 + 2 * n
        else
          redis.call('LLEN', KEYS[k + 1])
          redis.call('HLEN', KEYS[k])
          i = i + 3 + n
        end
      end
    end
  end
  if high > 0 then order = redis.call('INCRBY', KEYS[2], high) - high end
end

-- Why the sends cannot be made, as an answer; nil if they can. An answer, because an error that a script raises may come from its middle (failure.ts).
local function refusal(from)
  local ok, err = pcall(check, from)
  if ok then return nil end
  return type(err) == 'table' and err or redis.error_reply('ERR ' .. tostring(err))
end

-- Hands what is ready to those who wait for this queue, the longest waiting first. A large batch they fetch themselves.
local function serve(k)
  while true do
    local first = redis.call('ZPOPMIN', KEYS[k + 5])
    local waiter = first[1]
    if not waiter then return end
    local info = redis.call('HGET', KEYS[1], waiter)
    if info then
      local channel, batch, max, leaseMs = string.match(info, '^(.-)\n(.-)\n(.-)\n(.-)\n')
      if redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then
        redis.call('HDEL', KEYS[1], waiter)
      else
        local made = newBatch()
        pop(k, tonumber(max), made)
        if made.count == 0 then
          redis.call('ZADD', KEYS[k + 5], first[2], waiter)
          return
        end
        local value = hold(k, batch, made, now() + tonumber(leaseMs))
        redis.call('HDEL', KEYS[1], waiter)
        if #value > 65536 then redis.call('PUBLISH', channel, 'l ' .. waiter .. '\n')
        else redis.call('PUBLISH', channel, 'b ' .. waiter .. ' ' .. batch .. ' ' .. KEYS[k] .. '\n' .. value) end
      end
    end
  end
end

-- Tells one of those who wait for this queue to look for himself: something will be there later, or only for him who takes suspects.
local function nudge(k, suspects)
  local others = {}
  while true do
    local first = redis.call('ZPOPMIN', KEYS[k + 5])
    local waiter = first[1]
    if not waiter then break end
    -- One that was served by another queue has none.
    local info = redis.call('HGET', KEYS[1], waiter)
    if info then
      if suspects and string.sub(info, -1) ~= '1' then
        others[#others + 1] = first[2]
        others[#others + 1] = waiter
      else
        redis.call('HDEL', KEYS[1], waiter)
        if redis.call('PUBLISH', string.match(info, '^(.-)\n'), 'l ' .. waiter .. '\n') > 0 then break end
      end
    end
  end
  if #others > 0 then redis.call('ZADD', KEYS[k + 5], unpack(others)) end
end

-- An owner that waits gets the messages pushed, as long as he keeps up; else he is told to ask.
local function push(k, from, to, length)
  local state = redis.call('HMGET', KEYS[k], 'waiter', 'claim', 'head')
  local channel = state[1]
  if not channel then return end
  local bytes = 0
  for i = from, to do bytes = bytes + #ARGV[i] end
  local heard
  if length <= 1000 and bytes <= 65536 then
    local before = (state[3] or 0) + length - (to - from + 1)
    local frames = to == from and ARGV[from] or table.concat(ARGV, '', from, to)
    heard = redis.call('PUBLISH', channel, string.format('i %s %.0f\n', state[2], before) .. frames)
  else
    heard = 0
    redis.call('PUBLISH', channel, 'm ' .. state[2] .. '\n')
  end
  if heard == 0 then redis.call('HDEL', KEYS[k], 'waiter') end
end

-- Adds events to a log, and drops the oldest while they are too old, or enough follow them; what is new stays. An id is time and number: in the order
-- of time, also when the clock was set back, and the numbers without a gap. A log to which nothing is added for long expires as a whole.
local function log(k, from, to, maxAge, maxBytes)
  local state = redis.call('HMGET', KEYS[k + 1], 'events', 'eventTime', 'eventBytes', 'oldestEvent', 'eventsEnd')
  local number, bytes = tonumber(state[1] or 0), tonumber(state[3] or 0)
  local time = math.max(now(), tonumber(state[2] or 0))
  local oldest, ends = tonumber(state[4] or time), tonumber(state[5] or 0)
  if redis.call('XLEN', KEYS[k]) == 0 then bytes, oldest, ends = 0, time, 0 end
  for i = from, to, 2 do
    number = number + 1
    bytes = bytes + #ARGV[i + 1]
    redis.call('XADD', KEYS[k], string.format('%.0f-%.0f', time, number), 'i', ARGV[i], 'b', ARGV[i + 1])
  end
  local staying = bytes < maxBytes and oldest >= time - maxAge
  while not staying do
    local entries = redis.call('XRANGE', KEYS[k], '-', '+', 'COUNT', 64)
    -- Nothing is left: so little is kept, or somebody else has trimmed it.
    if #entries == 0 then
      bytes, oldest = 0, time
      break
    end
    for i = 1, #entries do
      local id, rest = entries[i][1], bytes - #entries[i][2][4]
      oldest = tonumber(string.match(id, '^%d+'))
      staying = rest < maxBytes and oldest >= time - maxAge
      if staying then
        redis.call('XTRIM', KEYS[k], 'MINID', '=', id)
        break
      end
      bytes = rest
    end
    if not staying then
      local ms, last = string.match(entries[#entries][1], '^(%d+)-(%d+)$')
      redis.call('XTRIM', KEYS[k], 'MINID', '=', string.format('%s-%.0f', ms, last + 1))
    end
  end
  redis.call('HSET', KEYS[k + 1], 'events', string.format('%.0f', number), 'eventTime', string.format('%.0f', time),
    'eventBytes', string.format('%.0f', bytes), 'oldestEvent', string.format('%.0f', oldest))
  -- Not with each event: that would be one more write.
  if ends < time + maxAge and maxAge < FOR_EVER then
    ends = string.format('%.0f', time + 2 * maxAge)
    redis.call('PEXPIREAT', KEYS[k], ends)
    redis.call('HSET', KEYS[k + 1], 'eventsEnd', ends)
  end
end

local function deliver(from)
  local i = from
  while ARGV[i] do
    local kind = ARGV[i]
    if kind == 'r' then
      redis.call('PUBLISH', ARGV[i + 1], ARGV[i + 2])
      i = i + 3
    elseif kind == 'd' then
      redis.call('XADD', KEYS[3], '*', 'id', ARGV[i + 1], 'info', ARGV[i + 2], 'body', ARGV[i + 3])
      i = i + 4
    elseif kind == 'e' then
      local n = tonumber(ARGV[i + 2])
      log(tonumber(ARGV[i + 1]), i + 7, i + 6 + n, tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6]))
      redis.call('PUBLISH', ARGV[i + 4], ARGV[i + 3])
      i = i + 7 + n
    elseif kind == 'h' then
      local k, n = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
      for j = 0, n - 1 do
        local at = i + 3 + 2 * j
        redis.call('ZADD', KEYS[k + 1], string.format('%.0f', order + j - tonumber(ARGV[at]) * 281474976710656), ARGV[at + 1])
      end
      order = order + n
      if awaited[k] then serve(k) end
      i = i + 3 + 2 * n
    else
      local k, n = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
      local first, last, length = i + 3, i + 2 + n, 0
      local list = kind == 't' and KEYS[k] or KEYS[k + 1]
      for at = first, last, CHUNK do
        length = redis.call('RPUSH', list, unpack(ARGV, at, math.min(at + CHUNK - 1, last)))
      end
      if kind == 'i' then push(k, first, last, length)
      elseif awaited[k] then serve(k) end
      i = last + 1
    end
  end
end
`
