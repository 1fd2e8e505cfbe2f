import { lua, script } from '../script'

/** Rows by the order of their keys. KEYS: rows, index. ARGV: lower bound, upper bound, limit. Answers keys and values in turn. */
export const scan = script(
  'scan',
  lua`
local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, tonumber(ARGV[3]))
local answer = {}
for from = 1, #keys, 4000 do
  local to = math.min(from + 3999, #keys)
  local values = redis.call('HMGET', KEYS[1], unpack(keys, from, to))
  for i = from, to do
    answer[#answer + 1] = keys[i]
    answer[#answer + 1] = values[i - from + 1]
  end
end
return answer
`,
  { repeatable: true },
)
