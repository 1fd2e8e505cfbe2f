import { writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { inject, test, expect, type TestContext } from 'vitest'
import { eventually, place, startProcess, type Ended, type Place, type Started } from './support/command'

const ESCAPE = '\u001b['

/** Runs a command on a terminal: `script` makes one. */
function onTerminal(...given: Parameters<typeof startOnTerminal>): Promise<Ended> {
  return startOnTerminal(...given).ended
}

function startOnTerminal(
  ctx: TestContext,
  { folder, url }: Place,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Started {
  if (!spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux'))
    ctx.skip('no `script` of util-linux here, which makes a terminal')
  const command = [process.execPath, join(inject('project'), 'node_modules/@tasks/cli/dist/main.js'), ...words]
    .map((word) => `'${word}'`)
    .join(' ')
  return startProcess('script', ['-qec', command, '/dev/null'], folder, {
    TASKS_URL: url,
    TASKS_NAMESPACE: 'cli',
    TERM: 'xterm',
    ...env,
  })
}

test('colours and progress are for terminals only', async (ctx) => {
  const here = place()
  await here.worker()
  await here.run('submit', 'add', '1', '2', '--id', 'a', '--wait')
  expect((await here.run('status', 'a')).stdout).not.toContain(ESCAPE)
  expect((await onTerminal(ctx, here, ['status', 'a'])).stdout).toContain('\u001b[32mCOMPLETED\u001b[39m')
  const file = join(here.folder, 'log')
  const { stdout } = await onTerminal(ctx, here, ['submit', 'slow', JSON.stringify(file), '700', '--wait'])
  expect(stdout).toMatch(/. RUNNING {2}0 of 1 tasks {2}\d+ ms/)
  expect(stdout).toContain(`\r${ESCAPE}2K`)
  expect(stdout.trimEnd()).toMatch(/"slept"$/)
})

test('NO_COLOR is honoured, and --json is plain on a terminal too', async (ctx) => {
  const here = place()
  await here.worker()
  await here.run('submit', 'add', '1', '2', '--id', 'a', '--wait')
  expect((await onTerminal(ctx, here, ['status', 'a'], { NO_COLOR: '1' })).stdout).not.toContain(ESCAPE)
  const { stdout } = await onTerminal(ctx, here, [
    'submit',
    'slow',
    JSON.stringify(join(here.folder, 'log')),
    '400',
    '--wait',
    '--json',
  ])
  expect(stdout).not.toContain(ESCAPE)
  expect(JSON.parse(stdout)).toMatchObject({ result: 'slept' })
})

test('show --watch draws the tree in place until the run has ended', async (ctx) => {
  const here = place()
  await here.worker()
  const file = join(here.folder, 'go')
  await here.run('submit', 'heldTwice', JSON.stringify(file), '--id', 'w', '-m', here.module('tasks.ts'))
  await eventually('an owner has it', async () => (await here.run('status', 'w')).code === 0 || undefined)
  const watching = startOnTerminal(ctx, here, ['show', 'w', '--watch'])
  await watching.prints('\u25b6 held')
  writeFileSync(file, '')
  const { code, stdout } = await watching.ended
  expect(code).toBe(0)
  // Up by a line, for each line of the picture but one.
  expect(stdout).toContain(`${ESCAPE}1A${ESCAPE}2K`)
  expect(stdout).toMatch(/COMPLETED {2}w {2}heldTwice {2}3 of 3 tasks/)
})
