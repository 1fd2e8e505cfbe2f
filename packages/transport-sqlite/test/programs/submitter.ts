// Submits pipelines when it is told to, and says of each that it was accepted.
import { createClient } from '@tasks/core'
import { setTimeout as sleep } from 'node:timers/promises'
import { sqliteTransport } from '../../src/index'
import { recipeOf } from '../support/recipes'
import { NAMESPACE } from '../support/tasks'

const [path] = process.argv.slice(2) as [string]
const client = createClient({ namespace: NAMESPACE, transport: sqliteTransport({ path }) })

process.on('message', (wanted: readonly (readonly [id: string, seed: number])[]) => void submitAll(wanted))

async function submitAll(wanted: readonly (readonly [id: string, seed: number])[]): Promise<void> {
  for (const [id, seed] of wanted) {
    await client.submit(recipeOf(seed).pipeline, { id })
    process.send!(id)
    await sleep(seed % 20)
  }
}
process.on('disconnect', () => process.exit())
process.send!('ready')
