import { lua, script } from '../script'

/** Hosts whose connection is not there. KEYS: hosts. ARGV: the host that asks, and what the names of channels begin with (host names go on with it up to the `/`). */
export const missing = script(
  'missing',
  lua`
local found = {}
for _, host in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local channel = ARGV[2] .. string.match(host, '^[^/]*')
  if host ~= ARGV[1] and redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then found[#found + 1] = host end
end
return found
`,
  { repeatable: true },
)
