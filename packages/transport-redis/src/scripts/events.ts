import { lua, script } from '../script'
import { NOW } from './shared'

/**
 * Reading a stream of events. Its ids are `<ms>-<number>`: the numbers of a partition have no gaps, so that what retention has dropped is seen by the first
 * number that is still there. A position is such an id; nothing is before `''`.
 */
const READ = lua`
local MOST_BYTES = 524288

local function numberOf(id)
  return tonumber(string.match(id, '-(%d+)$'))
end

-- Up to max entries behind a position; adds to the bytes of the call, and stops when they are many.
local function entriesAfter(stream, position, max, made)
  local entries = {}
  local from = position == '' and '-' or '(' .. position
  while #entries < max and made.bytes < MOST_BYTES do
    local room = max - #entries
    -- The first few tell how large they are.
    if made.count == 0 then room = math.min(room, 16)
    else room = math.min(room, math.ceil((MOST_BYTES - made.bytes) * made.count / math.max(1, made.bytes))) end
    local found = redis.call('XRANGE', stream, from, '+', 'COUNT', room)
    for i = 1, #found do
      made.count = made.count + 1
      made.bytes = made.bytes + #found[i][2][4]
      entries[#entries + 1] = found[i]
      from = '(' .. found[i][1]
    end
    if #found < room then break end
  end
  return entries
end

local function isGap(position, entries)
  return position ~= '' and numberOf(entries[1][1]) ~= numberOf(position) + 1 and 1 or 0
end
`

/** KEYS: streams. ARGV: the most events, then a position for each stream. Answers for each stream that has something: its place, gap (0 or 1), entries. */
export const readEvents = script(
  'read events',
  lua`
${READ}
local pages, left, made = {}, tonumber(ARGV[1]), { count = 0, bytes = 0 }
for i = 1, #KEYS do
  if left <= 0 or made.bytes >= MOST_BYTES then break end
  local entries = entriesAfter(KEYS[i], ARGV[i + 1], left, made)
  if #entries > 0 then
    pages[#pages + 1] = { i, isGap(ARGV[i + 1], entries), entries }
    left = left - #entries
  end
end
return pages
`,
  { repeatable: true },
)

/** KEYS: streams, then the states of their partitions. ARGV: a time in ms, or nothing. Answers a position for each: before what was stored since then, or of the end. */
export const eventPositions = script(
  'event positions',
  lua`
local positions = {}
for i = 1, #KEYS / 2 do
  local next = ARGV[1] ~= '' and redis.call('XRANGE', KEYS[i], ARGV[1], '+', 'COUNT', 1)[1]
  local last = not next and redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)[1]
  if next then
    local ms, number = string.match(next[1], '^(%d+)-(%d+)$')
    positions[i] = string.format('%s-%.0f', ms, number - 1)
  elseif last then positions[i] = last[1]
  else
    -- A log that has expired goes on where it was.
    local state = redis.call('HMGET', KEYS[#KEYS / 2 + i], 'eventTime', 'events')
    positions[i] = (state[1] or 0) .. '-' .. (state[2] or 0)
  end
end
return positions
`,
  { repeatable: true },
)

// A subscription is a hash with a field for each partition: position, holder and end of its lease, each on a line; and an id, since a name may be used again.
const CURSOR = lua`
local function cursor(partition)
  local value = redis.call('HGET', KEYS[1], partition)
  if not value then return nil end
  return string.match(value, '^(.-)\n(.-)\n(.-)$')
end

-- Its first write is one that a server without memory takes.
local function store(partition, position, holder, expires)
  redis.call('HDEL', KEYS[1], '')
  redis.call('HSET', KEYS[1], partition, string.format('%s\n%s\n%.0f', position, holder, expires))
end
`

/** KEYS: subscription. ARGV: an id and a position for each partition, used if the name is new. */
export const joinSubscription = script(
  'join subscription',
  lua`
${CURSOR}
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[1], i - 2) == 0 then store(i - 2, ARGV[i], '', 0) end
end
return 1
`,
  { repeatable: true },
)

/** KEYS: subscription. ARGV: its id. */
export const forgetSubscription = script(
  'forget subscription',
  lua`
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`,
  { repeatable: true },
)

/**
 * Takes the next page that nobody holds. Asked again by the same holder, it takes the same one.
 *
 * KEYS: subscription, then the streams of all partitions. ARGV: holder, leaseMs, the most events, the partition to begin with.
 * Answers partition, gap and entries; nil if there is nothing.
 */
export const takeEvents = script(
  'take events',
  lua`
${NOW}${READ}${CURSOR}
local holder, leaseMs, max, first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time, partitions = now(), #KEYS - 1
for i = 0, partitions - 1 do
  local partition = (first + i) % partitions
  local position, held, expires = cursor(partition)
  if position and (held == '' or held == holder or tonumber(expires) < time) then
    local entries = entriesAfter(KEYS[partition + 2], position, max, { count = 0, bytes = 0 })
    if #entries > 0 then
      store(partition, position, holder, time + leaseMs)
      return { partition, isGap(position, entries), entries }
    end
  end
end
return false
`,
  { repeatable: true },
)

/**
 * Settles a page (a position), extends its lease, or lets go of it, if its holder still has it.
 *
 * KEYS: subscription. ARGV: `settle`, `extend` or `release`, partition, holder, then the position, the leaseMs or nothing, and the channel of the events.
 */
export const holdEvents = script(
  'hold events',
  lua`
${NOW}${CURSOR}
local op, partition, holder = ARGV[1], ARGV[2], ARGV[3]
local position, held = cursor(partition)
if held ~= holder then return 0 end
if op == 'extend' then
  store(partition, position, holder, now() + tonumber(ARGV[4]))
  return 1
end
store(partition, op == 'settle' and ARGV[4] or position, '', 0)
-- Another member may wait for what follows.
redis.call('PUBLISH', ARGV[5], partition)
return 1
`,
  { repeatable: true },
)
