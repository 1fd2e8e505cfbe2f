import { lua, script } from '../script'

/**
 * Reads a partition's inbox, and, if that was all, has what comes next pushed.
 *
 * KEYS: the partition's state and inbox. ARGV: claim, position after which to read, max, channel.
 * Answers the position before the first message and the joined messages; nil if another session owns the partition.
 */
export const poll = script(
  'poll',
  lua`
local MOST_BYTES = 524288
local state = redis.call('HMGET', KEYS[1], 'claim', 'head')
if state[1] ~= ARGV[1] then return false end
local head = tonumber(state[2]) or 0
local from, max = math.max(tonumber(ARGV[2]), head) - head, tonumber(ARGV[3])

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
if whole then redis.call('HSET', KEYS[1], 'waiter', ARGV[4]) end
return { string.format('%.0f', head + from), table.concat(frames), whole and 1 or 0 }
`,
  { repeatable: true },
)
