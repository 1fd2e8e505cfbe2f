import { lua, script } from '../script'
import { CHUNK, DELIVER, NOW, TAKE } from './shared'

/** Sends outside of commits and settlements. ARGV: groups. */
export const send = script(
  'send',
  lua`
${CHUNK}${NOW}${TAKE}${DELIVER}
local no = refusal(1)
if no then return no end
deliver(1)
return 1
`,
  { repeatable: false },
)
