import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import { withTaskContext } from '../../src/testing'

const describeSelf = async () => {
  const { attempt, taskId, meta, signal, progress } = taskContext()
  await Promise.resolve()
  progress(0.5, 'half')
  // Still the same after an await.
  return [attempt, taskId, meta['tenant'], signal.aborted, taskContext().attempt]
}

test('a task that asks for its context runs without a worker', async () => {
  const noted: unknown[] = []
  const controller = new AbortController()
  controller.abort()
  const context = {
    attempt: 3,
    meta: { tenant: 'acme' },
    signal: controller.signal,
    progress: (...note: unknown[]) => void noted.push(note),
  }
  expect(await withTaskContext(context, describeSelf)).toEqual([3, 'test/0', 'acme', true, 3])
  expect(noted).toEqual([[0.5, 'half']])
  expect(await withTaskContext({}, describeSelf)).toEqual([1, 'test/0', undefined, false, 1])
})

test('contexts do not leak, and nest', async () => {
  const outer = await withTaskContext({ attempt: 1 }, async () => {
    const inner = withTaskContext({ attempt: 2 }, () => taskContext().attempt)
    await Promise.resolve()
    return [inner, taskContext().attempt]
  })
  expect(outer).toEqual([2, 1])
  expect(() => taskContext()).toThrow(expect.objectContaining({ code: 'TASKS_NO_CONTEXT' }))
})

test('a task reads and writes the state that the test gives it', () => {
  const state: Record<string, unknown> = { count: 1, list: ['a'] }
  const all = withTaskContext({ state }, () => {
    const { state: mine } = taskContext<{ count: number; list: string[]; name: string }>()
    mine.set('count', (mine.get('count') ?? 0) + 1)
    mine.set('name', 'x')
    mine.set('list', undefined)
    return [mine.get(), mine.get('name'), mine.get('list')]
  })
  expect(all).toEqual([{ count: 2, name: 'x' }, 'x', undefined])
  expect(state).toEqual({ count: 2, name: 'x' })
  expect(withTaskContext({}, () => taskContext().state.get('toString'))).toBeUndefined()
})
