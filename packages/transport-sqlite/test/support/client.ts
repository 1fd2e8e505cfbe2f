import { createClient, type Client } from '@tasks/core'
import { onTestFinished } from 'vitest'
import { sqliteTransport } from '../../src/index'
import { NAMESPACE } from './tasks'

/** A client of the processes that run `tasks`, closed after the test. */
export function clientOf(path: string): Client {
  const transport = sqliteTransport({ path })
  const client = createClient({ namespace: NAMESPACE, transport })
  onTestFinished(async () => {
    await client.close()
    await transport.close()
  })
  return client
}
