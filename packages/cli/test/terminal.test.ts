import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { inject, test, expect, type TestContext } from 'vitest'
import { place, startProcess, type Ended, type Place } from './support/command'

const ESCAPE = '\u001b['

/** Runs a command on a terminal: `script` makes one. */
function onTerminal(
  ctx: TestContext,
  { folder, url }: Place,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
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
  }).ended
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
