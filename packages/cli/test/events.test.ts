import { expect, test } from 'vitest'
import { documentOf, place } from './support/command'

interface Line {
  readonly id: string
  readonly type: string
  readonly subject: string
  readonly data: object
  readonly position: string
}

const linesOf = (stdout: string): readonly Line[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

test('events tells what has happened, filtered, for people and as CloudEvents', async () => {
  const { run, worker } = place()
  await worker()
  await run('submit', 'add', '1', '2', '--id', 'one', '--wait')
  await run('submit', 'add', '1', '2', '--id', 'two', '--wait')
  const told = await run('events', '--pipeline', 'one')
  expect(told.code).toBe(0)
  expect(told.stdout).toMatch(
    /^\S+Z {2}pipeline\.created +one .*\n\S+Z {2}pipeline\.status +one +status=RUNNING\n\S+Z {2}pipeline\.status +one +status=COMPLETED previous=RUNNING\n$/,
  )
  const events = linesOf((await run('events', '--type', 'pipeline.status', '--json')).stdout)
  expect(events).toHaveLength(4)
  expect(new Set(events.map(({ subject }) => subject))).toEqual(new Set(['one', 'two']))
  const [first, ...later] = events
  const behind = await run('events', '--type', 'pipeline.status', '--from', first!.position, '--json')
  expect(linesOf(behind.stdout).map(({ id }) => id)).toEqual(later.map(({ id }) => id))
  expect((await run('events', '--from', 'new')).stdout).toBe('')
  const refused = await run('events', '--from', 'nowhere', '--json')
  expect(refused.code).toBe(2)
  expect(documentOf(refused)).toMatchObject({ error: { code: 'TASKS_ARGUMENTS' } })
})

test('events --follow tells what happens, until it is interrupted', async () => {
  const { run, start, worker } = place()
  await worker()
  const following = start('events', '--follow', '--json')
  await following.says('Ctrl-C ends it')
  await run('submit', 'add', '1', '2', '--id', 'one', '--wait')
  await following.prints('COMPLETED')
  following.signal('SIGINT')
  const { code, stdout } = await following.ended
  expect(code).toBe(0)
  expect(linesOf(stdout).map(({ type }) => type)).toEqual([
    'dev.tasks.pipeline.created',
    'dev.tasks.pipeline.status',
    'dev.tasks.pipeline.status',
  ])
})
