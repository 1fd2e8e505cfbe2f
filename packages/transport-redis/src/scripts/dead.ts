import { lua, script } from '../script'
import { CHUNK, DELIVER, NOW, TAKE } from './shared'

/** Makes the sends, if any, and removes the letter. KEYS: waiting, order, dead, those of the sends. ARGV: letter, groups of sends. Answers 0 if there is no such letter. */
export const takeLetter = script(
  'take letter',
  lua`
${CHUNK}${NOW}${TAKE}${DELIVER}
if #redis.call('XRANGE', KEYS[3], ARGV[1], ARGV[1]) == 0 then return 0 end
local no = refusal(2)
if no then return no end
deliver(2)
redis.call('XDEL', KEYS[3], ARGV[1])
if redis.call('XLEN', KEYS[3]) == 0 then redis.call('DEL', KEYS[3]) end
return 1
`,
  { repeatable: false },
)
