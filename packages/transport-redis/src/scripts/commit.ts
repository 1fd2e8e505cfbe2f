import { lua, script } from '../script'
import { CHUNK, DELIVER, ID_OF, NOW, TAKE } from './shared'

/**
 * One commit. Nothing is written before the claim, the sequence number, the position and the types of what is sent to are seen to be right; those of the
 * partition's own keys were at the claim.
 *
 * KEYS: waiting, order, dead, then the partition's state, inbox, rows and index, then those of the sends.
 * ARGV: claim, seq, time, through (empty: unchanged), id of the message there, number of rows put, key and value of each, number of rows deleted, key of each, number of rows that are not
 * there, key of each, groups of sends.
 * The functions of sends are defined where there are any: a step of a chain has none, and to make them would be a third of what its script takes.
 * Answers 1: applied, now or by an earlier try; 0: another session owns the partition, the commit is not its next, or the store has another message there: it lacks what
 * the session has read; 2: one of those rows is there.
 */
export const commit = script(
  'commit',
  lua`
${CHUNK}${ID_OF}
local STATE, INBOX, ROWS, INDEX = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local claim, seq, time, through = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

-- The fence.
local state = redis.call('HMGET', STATE, 'claim', 'seq', 'head')
if state[1] ~= claim then return 0 end
local last = tonumber(state[2] or 0)
if seq == last then return 1 end
if seq ~= last + 1 then return 0 end

local puts = tonumber(ARGV[6])
local firstPut = 7
local lastPut = firstPut + 2 * puts - 1
local dels = tonumber(ARGV[lastPut + 1])
local firstDel = lastPut + 2
local lastDel = firstDel + dels - 1
local firstAbsent = lastDel + 2
local lastAbsent = firstAbsent + tonumber(ARGV[lastDel + 1]) - 1
local sends = lastAbsent + 1

for from = firstAbsent, lastAbsent, CHUNK do
  local found = redis.call('HMGET', ROWS, unpack(ARGV, from, math.min(from + CHUNK - 1, lastAbsent)))
  for i = 1, #found do
    if found[i] then return 2 end
  end
end

local consumed = 0
if through ~= '' then
  consumed = tonumber(through) - (tonumber(state[3]) or 0)
  if consumed < 0 or consumed > 0 and idOf(redis.call('LINDEX', INBOX, consumed - 1)) ~= ARGV[5] then return 0 end
end

local function store()
  if consumed > 0 then redis.call('HSET', STATE, 'seq', ARGV[2], 'time', time, 'head', through)
  else redis.call('HSET', STATE, 'seq', ARGV[2], 'time', time) end
  for from = firstPut, lastPut, CHUNK do
    local to = math.min(from + CHUNK - 1, lastPut)
    -- The index has the key of every row: only new ones are to be added.
    if redis.call('HSET', ROWS, unpack(ARGV, from, to)) > 0 then
      local entries = {}
      for i = from, to, 2 do
        entries[#entries + 1] = 0
        entries[#entries + 1] = ARGV[i]
      end
      redis.call('ZADD', INDEX, unpack(entries))
    end
  end
end

local function free()
  if consumed > 0 then redis.call('LTRIM', INBOX, consumed, -1) end
  for from = firstDel, lastDel, CHUNK do
    local to = math.min(from + CHUNK - 1, lastDel)
    if redis.call('HDEL', ROWS, unpack(ARGV, from, to)) > 0 then redis.call('ZREM', INDEX, unpack(ARGV, from, to)) end
  end
end

-- Once this begins everything succeeds: a server that is out of memory refuses a script's first write, if it may need some, and no later one. A commit that
-- consumes or deletes, and adds nothing to work at, begins with what frees: it is taken.
local function apply(adds)
  if adds then
    store()
    free()
  else
    free()
    store()
  end
end

if not ARGV[sends] then
  apply(false)
  return 1
end
${NOW}${TAKE}${DELIVER}
local no = refusal(sends)
if no then return no end
apply(queues)
deliver(sends)
return 1
`,
  { repeatable: true },
)
