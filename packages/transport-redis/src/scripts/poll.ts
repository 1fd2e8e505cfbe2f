import { lua, script } from '../script'
import { ID_OF } from './shared'

/**
 * Reads a partition's inbox, and, if that was all, has what comes next pushed.
 *
 * KEYS: the partition's state and inbox. ARGV: claim, seq of the session's last commit, position after which to read, id of the message that was read there, max, channel.
 * Answers the position before the first message and the joined messages; nil if another session owns the partition, or this is a store that lacks what the session has
 * committed or read: one that was restored, or a replica that took over without the last writes.
 */
export const poll = script(
  'poll',
  lua`
${ID_OF}
local MOST_BYTES = 524288
local state = redis.call('HMGET', KEYS[1], 'claim', 'seq', 'head', 'waiter')
if state[1] ~= ARGV[1] or tonumber(state[2] or 0) < tonumber(ARGV[2]) then return false end
local head = tonumber(state[3]) or 0
local from, max = math.max(tonumber(ARGV[3]) - head, 0), tonumber(ARGV[5])
if from > 0 and idOf(redis.call('LINDEX', KEYS[2], from - 1)) ~= ARGV[4] then return false end

local frames, count, bytes = {}, 0, 0
local whole = false
while count < max and bytes < MOST_BYTES do
  local room = max - count
  if count == 0 then room = math.min(room, 16)
  else room = math.min(room, math.ceil((MOST_BYTES - bytes) * count / bytes)) end
  local found = redis.call('LRANGE', KEYS[2], from + count, from + count + room - 1)
  for i = 1, #found do
    count = count + 1
    bytes = bytes + #found[i]
    frames[count] = found[i]
  end
  if #found < room then
    whole = true
    break
  end
end
if whole and state[4] ~= ARGV[6] then
  -- The first write is one that a server without memory takes.
  redis.call('HDEL', KEYS[1], 'waiter')
  redis.call('HSET', KEYS[1], 'waiter', ARGV[6])
end
return { string.format('%.0f', head + from), table.concat(frames), whole and 1 or 0 }
`,
  { repeatable: true },
)
