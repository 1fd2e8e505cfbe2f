import { expect, test } from 'vitest'
import { taskContext } from '../../src/context'
import type { TaskError } from '../../src/errors'
import { inParallel } from '../../src/pipeline'
import { PATIENCE_MS, system } from '../support/system'

const waiting = { timeoutMs: PATIENCE_MS }

test.each([true, false])(
  'a task knows its pipeline, the one that returned it, and the one that was submitted (local lane: %s)',
  async (localLane) => {
    const { tasks, worker, client } = system()
    const seen = new Map<string, unknown>()
    const note = (name: string): void => {
      const { taskId, pipelineId, parentId, rootId } = taskContext()
      seen.set(name, { taskId, pipelineId, parentId, rootId })
    }
    const leaf = tasks.bind('leaf', (name: string) => {
      note(name)
      return name
    })
    const inner = tasks.bind('inner', () => {
      note('inner')
      return leaf.send('innermost').continueWith(leaf.send('innermost, next'))
    })
    const outer = tasks.bind('outer', () => {
      note('outer')
      return inParallel([leaf.send('in a group'), inner.send()]).continueWith(leaf.send('after the group'))
    })
    await worker({ localLane })
    const run = await client().submit(outer.send().continueWith(leaf.send('last')), { id: 'p' })
    expect(await run.result(waiting)).toBe('last')
    expect(Object.fromEntries(seen)).toEqual({
      outer: { taskId: 'p/0', pipelineId: 'p', parentId: undefined, rootId: 'p' },
      'in a group': { taskId: 'p/0:/0.0/0', pipelineId: 'p/0:', parentId: 'p', rootId: 'p' },
      inner: { taskId: 'p/0:/0.1/0', pipelineId: 'p/0:', parentId: 'p', rootId: 'p' },
      innermost: { taskId: 'p/0:/0.1~1/0', pipelineId: 'p/0:/0.1~1', parentId: 'p/0:', rootId: 'p' },
      'innermost, next': { taskId: 'p/0:/0.1~1/1', pipelineId: 'p/0:/0.1~1', parentId: 'p/0:', rootId: 'p' },
      'after the group': { taskId: 'p/0:/1', pipelineId: 'p/0:', parentId: 'p', rootId: 'p' },
      last: { taskId: 'p/1', pipelineId: 'p', parentId: undefined, rootId: 'p' },
    })
  },
)

test.each([true, false])(
  'the trace context of a submit is that of every task: of retries, handlers, returned pipelines, and the finally (local lane: %s)',
  async (localLane) => {
    const { tasks, worker, client } = system()
    const seen: (readonly [string, string | undefined])[] = []
    const see = tasks.bind('see', (name: string) => void seen.push([name, taskContext().traceparent]))
    const fail = tasks.bind('fail', (): void => {
      seen.push([`fail ${taskContext().attempt}`, taskContext().traceparent])
      throw new Error('no luck')
    })
    const mend = tasks.bind('mend', (_: TaskError) => inParallel([see.send('in a group')]))
    await worker({ localLane })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const failing = fail.send().set({ retry: { maxRetries: 1, delayMs: 1 } })
    const run = await client().submit(failing.exceptionally(mend).finallyDo(see, 'finally'), { meta: { traceparent } })
    await run.result(waiting)
    expect(seen).toEqual(['fail 1', 'fail 2', 'in a group', 'finally'].map((name) => [name, traceparent]))
    const alone = await client().enqueue(see.send('alone'), { reply: true, meta: { traceparent } })
    await alone.result(waiting)
    expect(seen.at(-1)).toEqual(['alone', traceparent])
    await (await client().enqueue(see.send('without'), { reply: true })).result(waiting)
    expect(seen.at(-1)).toEqual(['without', undefined])
  },
)

test.each([true, false])(
  'meta reaches every task of the tree, and each run has a name of its own (local lane: %s)',
  async (localLane) => {
    const { tasks, worker, client } = system()
    const leaf = tasks.bind('leaf', () => [taskContext().meta['tenant'], taskContext().run] as const)
    const grow = tasks.bind('grow', () => inParallel([leaf.send(), leaf.send()]))
    await worker({ localLane })
    const submitter = client()
    const pipeline = inParallel([grow.send(), leaf.send()])
    const runs = await Promise.all(['a', 'b'].map((tenant) => submitter.submit(pipeline, { meta: { tenant } })))
    const [[first], [second]] = (await Promise.all(runs.map((run) => run.result(waiting)))).map((result) =>
      (result as unknown[]).flat(1).flatMap((each) => (Array.isArray(each) ? [each] : [])),
    ) as [unknown[][], unknown[][]]
    expect(first![0]).toBe('a')
    expect(second![0]).toBe('b')
    expect(first![1]).not.toBe(second![1])
  },
)

test.each([true, false])(
  'a lone task is a pipeline of its own, in every attempt (local lane: %s)',
  async (localLane) => {
    const { tasks, worker, client } = system()
    const seen: unknown[] = []
    const task = tasks.bind(
      'task',
      () => {
        const { taskId, pipelineId, rootId, parentId, run, meta, attempt } = taskContext()
        seen.push({ taskId, pipelineId, rootId, parentId, run, meta })
        if (attempt < 3) throw new Error('not yet')
        return attempt
      },
      { retry: { maxRetries: 2, delayMs: 5 } },
    )
    await worker({ localLane })
    const handle = await client().enqueue(task.send(), { reply: true, meta: { by: 'me' } })
    expect(await handle.result(waiting)).toBe(3)
    const { id } = handle
    const self = { taskId: `${id}/0`, pipelineId: id, rootId: id, parentId: undefined, run: id, meta: { by: 'me' } }
    expect(seen).toEqual([self, self, self])
  },
)

test('an entry that was named is known by that name, in its context and in its failure', async () => {
  const { tasks, worker, client } = system()
  const who = tasks.bind('who', () => taskContext().taskId)
  const fails = tasks.bind('fails', () => {
    throw new Error('no')
  })
  await worker()
  const run = await client().submit(who.send().set({ taskId: 'first' }))
  await expect(run.result(waiting)).resolves.toBe('first')
  const failed = await client().submit(fails.send().set({ taskId: 'second' }))
  await expect(failed.result(waiting)).rejects.toMatchObject({ task: { name: 'fails', id: 'second' } })
})
