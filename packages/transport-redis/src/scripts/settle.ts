import { lua, script } from '../script'
import { CHUNK, DELIVER, MARKS, NOW, TAKE } from './shared'

/**
 * Settles messages of batches, after making the sends of the settlement. What is not held any more, or was settled before, is passed over.
 *
 * KEYS: waiting, order, dead, then those of queues and sends.
 * ARGV: number of batches, then of each: place of its queue's keys, batch, its number of frames, acknowledged offsets (eight digits each, or `*` for all), number of others,
 * and of each of those: `return`, offset, delayMs, new batch, or `dead`, offset, info, ''. Then groups of sends.
 */
export const settle = script(
  'settle',
  lua`
${CHUNK}${NOW}${TAKE}${MARKS}${DELIVER}
local batches, sends = {}, 2
for b = 1, tonumber(ARGV[1]) do
  batches[b] = sends
  local k, others = tonumber(ARGV[sends]), tonumber(ARGV[sends + 4])
  if others == 0 then redis.call('HLEN', KEYS[k + 2]) else checkQueue(k) end
  sends = sends + 5 + 4 * others
end
-- A settlement ends work: it is not refused when the server is out of memory, and so its first write is one that needs none.
redis.call('HDEL', KEYS[1], '')
local no = refusal(sends)
if no then return no end
deliver(sends)

local function giveBack(k, value, frame, delay, id)
  local before = string.byte(value) - 1
  if before == 0 and delay == 0 then return putBack(k, frame) end
  -- One that has been a suspect stays one.
  redis.call('HSET', KEYS[k + 2], id, string.char(before) .. frame)
  redis.call('ZADD', delay == 0 and KEYS[k + 3] or KEYS[k + 4], now() + delay, id)
end

for b = 1, #batches do
  local at = batches[b]
  local k, batch, count = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
  local acks, others = ARGV[at + 3], tonumber(ARGV[at + 4])
  if acks == '*' then dropBatch(k, batch)
  elseif redis.call('HEXISTS', KEYS[k + 2], batch) == 1 then
    local marks = redis.call('HGET', KEYS[k + 2], batch .. '!') or ''
    for i = 1, #acks, 8 do
      local offset = string.sub(acks, i, i + 7)
      if not isMarked(marks, offset) then marks = marks .. offset end
    end
    local value = others > 0 and redis.call('HGET', KEYS[k + 2], batch)
    local returned, later, suspects = false, false, false
    for i = at + 5, at + 1 + 4 * others, 4 do
      local offset = ARGV[i + 1]
      if not isMarked(marks, offset) then
        local from = tonumber(offset) + 1
        local frame = string.sub(value, from, from + struct.unpack('>I4', value, from) - 1)
        if ARGV[i] == 'return' then
          local delay = tonumber(ARGV[i + 2])
          giveBack(k, value, frame, delay, ARGV[i + 3])
          if string.byte(value) > 1 then suspects = true
          elseif delay == 0 then returned = true
          else later = true end
        else
          local id = struct.unpack('>I2', frame, 12)
          redis.call('XADD', KEYS[3], '*', 'id', string.sub(frame, 14, 13 + id), 'info', ARGV[i + 2], 'body', string.sub(frame, 14 + id))
        end
        marks = marks .. offset
      end
    end
    mark(k, batch, marks, count)
    if returned then serve(k) end
    if later then nudge(k, false) end
    if suspects then nudge(k, true) end
  end
end
return 1
`,
  { repeatable: false },
)
