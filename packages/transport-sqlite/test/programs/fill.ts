// Sends until the disk is full, and then looks whether what was called stored is there.
import { join } from 'node:path'
import { chooseDriver } from '../../src/driver'
import { sqliteTransport } from '../../src/index'

const path = join(process.argv[2]!, 'tasks.db')
const transport = sqliteTransport({ path })
const space = await transport.open({ namespace: 'n' })
const stored: string[] = []
const errors: unknown[] = []
let failed = 0
for (let i = 0; i < 60; i++) {
  const [outcome] = await space.send([{ target: { to: 'task', queue: 'q' }, id: `${i}`, body: new Uint8Array(20_000) }])
  if (outcome!.ok) stored.push(`${i}`)
  else {
    failed++
    const { code, message } = outcome!.error as { code?: string; message: string }
    errors.push({ code, message })
  }
}
const db = chooseDriver().open(path)
const there = new Set(
  db
    .prepare('SELECT id FROM message')
    .all()
    .map((row) => (row as { id: string }).id),
)
const lost = stored.filter((id) => !there.has(id))
if (lost.length > 0) throw new Error(`called stored, and not there: ${lost.join(' ')}`)
console.log(JSON.stringify({ stored, failed, errors }))
process.exit(0)
