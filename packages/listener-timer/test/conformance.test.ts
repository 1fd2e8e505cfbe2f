import { waitForEvent } from '@tasks/core'
import { describeListener } from '@tasks/conformance/vitest'
import { listenerStores } from '@tasks/listener-stores'
import { bindTimers } from '../src/index'

/** Time enough for a case to be ready when the first one fires. */
const APART_MS = 150

for (const [where, store] of await listenerStores()) {
  describeListener(`a timer, in ${where}`, {
    ...store,
    name: 'timer',
    create() {
      const begin = Date.now()
      const timeOf = (nth: number): number => begin + (nth + 1) * APART_MS
      return {
        process(tasks) {
          const timers = bindTimers(tasks)
          return { wait: (nth) => waitForEvent(timers.at, timeOf(nth)) }
        },
        async occur(nth) {
          const due = timeOf(nth)
          while (Date.now() < due) await new Promise((resolve) => setTimeout(resolve, due - Date.now()))
          return due
        },
        hasOccurred: (nth) => Date.now() >= timeOf(nth),
      }
    },
  })
}
