import { lua, script } from '../script'
import { DELIVER, NOW, TAKE } from './shared'

/** Sends outside of commits and settlements. ARGV: groups. */
export const send = script(
  'send',
  lua`
${NOW}${TAKE}${DELIVER}
check(1)
deliver(1)
return 1
`,
  { repeatable: false },
)
