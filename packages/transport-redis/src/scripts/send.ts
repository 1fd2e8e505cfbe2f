import { lua, script } from '../script'
import { CHUNK, DELIVER, NOW, TAKE } from './shared'

/** Sends outside of commits and settlements. ARGV: groups. */
export const send = script(
  'send',
  lua`
${CHUNK}${NOW}${TAKE}${DELIVER}
check(1)
deliver(1)
return 1
`,
  { repeatable: false },
)
