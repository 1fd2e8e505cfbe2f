import { waitForEvent } from '@tasks/core'
import { describeListener } from '@tasks/conformance/vitest'
import { listenerStores } from '@tasks/listener-stores'
import { bearerSecret, serveEvents } from '../src/index'

const SECRET = 'for this test'

for (const [where, store] of await listenerStores()) {
  describeListener(`HTTP, in ${where}`, {
    ...store,
    name: 'http',
    async create({ client }) {
      const server = await serveEvents({ client, check: bearerSecret(SECRET) })
      const sent = new Set<number>()
      return {
        process: () => ({ wait: (nth) => waitForEvent({ key: `event-${nth}`, pipeline: true }) }),
        async occur(nth, pipelineId) {
          sent.add(nth)
          const event = { nth }
          const headers = { authorization: `Bearer ${SECRET}`, 'idempotency-key': `e${nth}` }
          // A sender repeats what had no answer, and sometimes what had one.
          for (let times = 0; times < 2; times++) {
            const url = `${server.url}/events/${pipelineId}/event-${nth}`
            const { status } = await fetch(url, { method: 'POST', headers, body: JSON.stringify(event) })
            if (status !== 200) throw new Error(`answered with ${status}`)
          }
          return event
        },
        hasOccurred: (nth) => sent.has(nth),
        close: () => server.close(),
      }
    },
  })
}
