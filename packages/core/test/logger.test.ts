import { expect, test, vi } from 'vitest'
import { taskContext } from '../src/context'
import { stderrLogger, type LogFields } from '../src/logger'
import { PATIENCE_MS, system } from './support/system'

/** What is written to stderr meanwhile. */
async function written(act: () => unknown): Promise<string> {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    await act()
    return write.mock.calls.map(([text]) => String(text)).join('')
  } finally {
    write.mockRestore()
  }
}

const logged = (fields: LogFields): Promise<string> => written(() => stderrLogger().warn(fields, 'said'))

test('warnings and errors are written, with their fields as JSON; the rest if asked for', async () => {
  const all = (verbose: boolean) => () => {
    const logger = stderrLogger({ verbose })
    for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level]({ n: 1 }, level)
    logger.warn({}, 'nothing more')
  }
  expect(await written(all(false))).toBe(
    '[tasks] warn warn {"n":1}\n[tasks] error error {"n":1}\n[tasks] warn nothing more\n',
  )
  expect(await written(all(true))).toContain('[tasks] debug debug {"n":1}\n[tasks] info info {"n":1}\n')
})

test('values without a JSON form are written too', async () => {
  const shared = { a: 1 }
  const cyclic: Record<string, unknown> = { first: shared, second: shared }
  cyclic['self'] = cyclic
  expect(await logged({ n: 1n })).toBe('[tasks] warn said {"n":"1n"}\n')
  expect(await logged(cyclic)).toBe('[tasks] warn said {"first":{"a":1},"second":{"a":1},"self":"(circular)"}\n')
  const throws = {
    toJSON() {
      throw new Error('no')
    },
  }
  expect(await logged({ throws })).toBe('[tasks] warn said (its fields cannot be shown)\n')
  expect(await logged(undefined as never)).toBe('[tasks] warn said\n')
})

test('errors come with their stacks and causes, and without members that may be payloads', async () => {
  const cause = new RangeError('below')
  const error = Object.assign(new TypeError('above', { cause }), { command: { args: ['secret'] } })
  const text = await logged({ error, id: 7 })
  expect(text).toMatch(
    /^\[tasks\] warn said \{"error":"TypeError: above","id":7\}\n {4}TypeError: above\n +at .*logger\.test/,
  )
  expect(text).toMatch(/\n {4}caused by RangeError: below\n +at /)
  expect(text).not.toContain('secret')
})

test('an error that is its own cause ends', async () => {
  const error = new Error('round')
  error.cause = error
  expect((await logged({ error })).match(/caused by/g)).toHaveLength(9)
})

test('a task does not fail by what it logs', async () => {
  const { tasks, worker, client } = system()
  const chatty = tasks.bind('chatty', () => {
    taskContext().logger.warn({ n: 1n }, 'chatty')
    return 'done'
  })
  const text = await written(async () => {
    await worker({ logger: stderrLogger() })
    expect(await (await client().submit(chatty.send())).result({ timeoutMs: PATIENCE_MS })).toBe('done')
  })
  expect(text).toContain('chatty {"n":"1n"')
})
