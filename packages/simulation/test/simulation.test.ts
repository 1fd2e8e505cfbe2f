import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundle } from '../src/bundle'

const all = process.env['TASKS_TIER'] === 'all'
/** Of a failure: its trace is long, and says the seed at its end. */
const MOST_TOLD = 4_000
let file = ''

beforeAll(async () => {
  file = await bundle()
})
afterAll(() => rmSync(dirname(file), { recursive: true, force: true }))

/** A child ends with the test that it is for. */
async function run(
  signal: AbortSignal,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly text: string }> {
  const child = spawn(process.execPath, [file, ...args], { signal, killSignal: 'SIGKILL' })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  return { code, text }
}

/** What it says, if it ends well. */
async function passing(signal: AbortSignal, ...args: string[]): Promise<string> {
  const { code, text } = await run(signal, ...args)
  if (code !== 0) throw new Error(`ended with ${code}: … ${text.slice(-MOST_TOLD)}`)
  return text
}

test('what has failed once does not fail again', async ({ signal }) => {
  expect(await passing(signal, '--once-failed')).toMatch(/^passes/)
})

test.for([7, 42])('seed %i replays to the byte', async (seed, { signal }) => {
  const [first, second] = await Promise.all([run(signal, '--seed', String(seed)), run(signal, '--seed', String(seed))])
  expect(first.text).toMatch(/sha256 of the trace/)
  expect(second.text === first.text).toBe(true)
})

test('whatever goes wrong, every run comes to what the oracle says, once, and nothing is left', async ({ signal }) => {
  const count = all ? 20_000 : 300
  const text = await passing(signal, '--seeds', String(count), '--start', '1')
  expect(text).toContain(`${count} seeds from 1 passed`)
}, 2_300_000)
