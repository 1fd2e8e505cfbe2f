import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startProgram } from '@tasks/dev-config/program'
import { expect, onTestFinished, test, vi } from 'vitest'

const SECRET = 'of this test'
const headers = { authorization: `Bearer ${SECRET}` }
const patience = { timeout: 40_000, interval: 50 }

test('waits for a decision over HTTP, also when it is killed meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'approval-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const start = () =>
    startProgram({
      main: fileURLToPath(new URL('../src/main.ts', import.meta.url)),
      args: ['--transport', `sqlite:${join(folder, 'tasks.db')}`],
      env: { APPROVAL_SECRET: SECRET },
      ready: /http:\/\/127\.0\.0\.1:\d+/,
    })

  const first = await start()
  const body = JSON.stringify({ what: 'a lathe', amount: 9_000, approver: 'Ada' })
  expect((await fetch(`${first.ready}/purchases/7`, { method: 'PUT', body })).status).toBe(401)
  expect((await fetch(`${first.ready}/purchases/7`, { method: 'PUT', body, headers })).status).toBe(202)
  const put = (no: string) => fetch(`${first.ready}/purchases/8`, { method: 'PUT', body: no, headers })
  expect((await put('null')).status).toBe(400)
  expect((await put(JSON.stringify({ what: 'x'.repeat(100_000) }))).status).toBe(413)
  await vi.waitFor(() => expect(first.said).toContain('to Ada: please decide: a lathe for 9000'), patience)
  await first.kill()

  const second = await start()
  const decide = (id: string, decision: object, by: Record<string, string> = headers) =>
    fetch(`${second.ready}/events/${id}/decision`, { method: 'POST', body: JSON.stringify(decision), headers: by })
  expect((await decide('7', { approved: true, by: 'Eve' }, {})).status).toBe(401)
  expect((await decide('8', { approved: true, by: 'Ada' })).status).toBe(404)
  expect((await decide('7', { approved: true, by: 'Ada' })).status).toBe(200)
  await vi.waitFor(async () => {
    const status = await (await fetch(`${second.ready}/purchases/7`, { headers })).json()
    expect(status).toMatchObject({ status: 'COMPLETED' })
  }, patience)
})
