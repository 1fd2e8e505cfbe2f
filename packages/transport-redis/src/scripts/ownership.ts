// Who owns which partition. All times are the server's.
//
// A partition's state has `owner` and `expires` while somebody owns it, and keeps `claim` and `epoch` for ever: they are the fence.
import { lua, script } from '../script'
import { NOW } from './shared'

/**
 * KEYS: hosts, then the states of all partitions. ARGV: host, leaseMs, channel of owners, numbers of the partitions held.
 * Answers: number of hosts, ms until the next lease of another host runs out (-1: none), number of lost ones, then numbers of the lost and of the free.
 */
export const heartbeat = script(
  'heartbeat',
  lua`
${NOW}
local host, leaseMs, time = ARGV[1], tonumber(ARGV[2]), now()
local ends = time + leaseMs
local held = {}
for i = 4, #ARGV do held[ARGV[i]] = true end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. time)
local isNew = redis.call('ZADD', KEYS[1], ends, host) == 1
local next
local lost, free = {}, {}
for k = 2, #KEYS do
  local number = string.format('%d', k - 2)
  local state = redis.call('HMGET', KEYS[k], 'owner', 'expires')
  local owner, expires = state[1], tonumber(state[2])
  local isFree = not owner or expires < time
  if held[number] then
    if owner == host then redis.call('HSET', KEYS[k], 'expires', ends)
    else lost[#lost + 1] = number end
  elseif isFree then free[#free + 1] = number end
  if not isFree and owner ~= host and (not next or expires < next) then next = expires end
end
for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, 1, 'WITHSCORES')) do
  local expires = tonumber(other)
  if expires and expires > time and expires ~= ends and (not next or expires < next) then next = expires end
end
if isNew then redis.call('PUBLISH', ARGV[3], host) end

local answer = { redis.call('ZCARD', KEYS[1]), next and next - time or -1, #lost }
for i = 1, #lost do answer[#answer + 1] = tonumber(lost[i]) end
for i = 1, #free do answer[#answer + 1] = tonumber(free[i]) end
return answer
`,
  { repeatable: true },
)

/**
 * KEYS: a partition's state, inbox, rows and index. ARGV: host, leaseMs, nonce. Answers claim, epoch, seq, time, head; nil if somebody else owns it.
 * The epoch is never less than the clock: a store that has lost its last writes does not give one out again.
 */
export const claim = script(
  'claim',
  lua`
${NOW}
local EPOCHS_SINCE = 1750000000000
local time = now()
-- Fails on keys of another type: commits do not look again.
redis.call('LLEN', KEYS[2])
redis.call('HLEN', KEYS[3])
redis.call('ZCARD', KEYS[4])
local state = redis.call('HMGET', KEYS[1], 'owner', 'expires', 'claim', 'epoch', 'seq', 'time', 'head')
local epoch
if state[3] and string.sub(state[3], -#ARGV[3] - 1) == '-' .. ARGV[3] then
  -- An earlier try, whose answer was lost.
  epoch = state[4]
else
  if state[1] and tonumber(state[2]) >= time then return false end
  epoch = string.format('%.0f', math.max((tonumber(state[4]) or 0) + 1, time - EPOCHS_SINCE))
  state[3] = epoch .. '-' .. ARGV[3]
  -- In this order: the first is a write that a server without memory takes.
  redis.call('HDEL', KEYS[1], 'waiter')
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'expires', time + tonumber(ARGV[2]), 'claim', state[3], 'epoch', epoch)
end
return { state[3], epoch, state[5] or '0', state[6] or '0', state[7] or '0' }
`,
  { repeatable: true },
)

/** KEYS: a partition's state. ARGV: claim, channel of owners. */
export const release = script(
  'release',
  lua`
if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] then return 0 end
if redis.call('HDEL', KEYS[1], 'owner', 'expires', 'waiter') > 0 then redis.call('PUBLISH', ARGV[2], '') end
return 1
`,
  { repeatable: true },
)

/** A host is gone. KEYS: hosts. ARGV: host, channel of owners. */
export const leave = script(
  'leave',
  lua`
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then redis.call('PUBLISH', ARGV[2], ARGV[1]) end
return 1
`,
  { repeatable: true },
)

/**
 * A host is gone, and gives back what it has. KEYS: hosts, then the states of all partitions. ARGV: host, channel of owners, and for one that is thought
 * dead the channel that only it listens to: if somebody does, nothing happens. Answers 1 if the host is gone.
 */
export const disown = script(
  'disown',
  lua`
if ARGV[3] and redis.call('PUBSUB', 'NUMSUB', ARGV[3])[2] > 0 then return 0 end
for k = 2, #KEYS do
  if redis.call('HGET', KEYS[k], 'owner') == ARGV[1] then redis.call('HDEL', KEYS[k], 'owner', 'expires', 'waiter') end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1])
return 1
`,
  { repeatable: true },
)
