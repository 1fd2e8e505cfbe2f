import { createClient } from '@tasks/core'
import { sqliteTransport } from '@tasks/transport-sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { documentOf, eventually, place, type Place } from './support/command'

/** Lone tasks that fail for good become dead letters. */
async function letters({ url, run }: Place, whys: readonly string[]): Promise<readonly string[]> {
  const transport = sqliteTransport({ url })
  const client = createClient({ transport, namespace: 'cli' })
  onTestFinished(async () => {
    await client.close()
    await transport.close()
  })
  const { createTasks } = await import('@tasks/core')
  const fail = createTasks({ namespace: 'cli' }).declare<(why: string) => number>('fail')
  for (const why of whys) await client.enqueue(fail, why)
  return eventually('the dead letters are there', async () => {
    const { letters: found } = documentOf(await run('dlq', 'ls', '--json')) as { letters: { id: string }[] }
    return found.length === whys.length ? found.map(({ id }) => id) : undefined
  })
}

test('ls lists them, show has the error and the bytes', async () => {
  const here = place()
  await here.worker()
  expect(await here.run('dlq', 'ls')).toEqual({ code: 0, stdout: '', stderr: 'no dead letters\n' })
  const [id] = await letters(here, ['no luck'])
  const list = await here.run('dlq', 'ls')
  expect(list.stdout).toMatch(
    new RegExp(`^ID +AT +REASON +TASK +SOURCE +MESSAGE\n${id} +\\S+Z +failed +fail +default +.*no luck`),
  )
  const shown = await here.run('dlq', 'show', id!)
  expect(shown.code).toBe(0)
  expect(shown.stdout).toMatch(/reason +failed\n/)
  expect(shown.stdout).toMatch(/arguments +\["no luck"\]\n/)
  expect(shown.stdout).toContain('RangeError: no luck')
  const document = documentOf(await here.run('dlq', 'show', id!, '--json'))
  expect(document).toMatchObject({
    id,
    reason: 'failed',
    task: 'fail',
    source: 'default',
    arguments: ['no luck'],
    error: { code: 'TASKS_TASK_FAILED', name: 'RangeError', message: 'no luck' },
  })
  expect(Buffer.from(document['base64'] as string, 'base64')).toHaveLength(document['bytes'] as number)
  expect(String(Buffer.from(document['base64'] as string, 'base64'))).toContain('no luck')
})

test('drop deletes one, or all', async () => {
  const here = place()
  await here.worker()
  const ids = await letters(here, ['a', 'b', 'c'])
  expect(await here.run('dlq', 'drop', ids[1]!)).toEqual({ code: 0, stdout: `${ids[1]}\n`, stderr: '' })
  expect(documentOf(await here.run('dlq', 'ls', '--json'))).toMatchObject({ letters: [{ id: ids[0] }, { id: ids[2] }] })
  expect(documentOf(await here.run('dlq', 'drop', '--all', '--json'))).toEqual({
    dropped: [ids[0], ids[2]],
    failed: [],
  })
  expect(documentOf(await here.run('dlq', 'ls', '--json'))).toEqual({ letters: [] })
})

test('redrive sends it again, and it fails again', async () => {
  const here = place()
  const worker = await here.worker()
  const [id] = await letters(here, ['again'])
  worker.signal('SIGTERM')
  await worker.ended
  expect(await here.run('dlq', 'redrive', id!)).toEqual({ code: 0, stdout: `${id}\n`, stderr: '' })
  expect(documentOf(await here.run('dlq', 'ls', '--json'))).toEqual({ letters: [] })
  await here.worker()
  await eventually(
    'it is back',
    async () => (documentOf(await here.run('dlq', 'ls', '--json')) as { letters: unknown[] }).letters[0],
  )
})

test('a letter that does not exist is exit code 3, and does not stop the others', async () => {
  const here = place()
  await here.worker()
  const [id] = await letters(here, ['a'])
  for (const command of ['show', 'drop', 'redrive']) {
    const { code, stderr } = await here.run('dlq', command, 'nobody')
    expect(stderr).toContain('there is no dead letter "nobody"')
    expect(code).toBe(3)
  }
  const mixed = await here.run('dlq', 'drop', 'nobody', id!, '--json')
  expect(mixed.code).toBe(3)
  expect(documentOf(mixed)).toMatchObject({
    dropped: [id],
    failed: [{ id: 'nobody', error: { code: 'TASKS_NOT_FOUND' } }],
  })
})
