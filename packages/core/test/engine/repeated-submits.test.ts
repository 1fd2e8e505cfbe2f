import { expect, test } from 'vitest'
import type { PipelineRow } from '../../src/engine/rows'
import { createTasks } from '../../src/tasks'
import { decodeReply } from '../../src/wire/reply'
import { ReducerWorld, submitOf } from './reducer-world'

const tasks = createTasks({ namespace: 'test' })
const echo = tasks.bind('echo', (value: number) => value)
const submit = (run: string, onDuplicate?: 'reject' | 'restart') =>
  submitOf('one', run, echo.send(1), onDuplicate === undefined ? {} : { onDuplicate, replyTo: 'me' })

test.each(['restart', 'reject'] as const)(
  'a submit that comes again after its run was restarted changes nothing: %s',
  (first) => {
    const world = new ReducerWorld()
    world.fold([submit('run 0', first)])
    for (let run = 1; run <= 8; run++) world.fold([submit(`run ${run}`, 'restart')])
    const before = new Map(world.rows)
    for (let run = 0; run <= 8; run++) world.fold([submit(`run ${run}`, run === 0 ? first : 'restart')])
    expect(world.rows).toEqual(before)
    expect(world.row<PipelineRow>('M/one')).toMatchObject({ run: 'run 8', gen: 9, status: 'RUNNING' })
    expect(world.ended.map(({ run, status }) => [run, status])).toEqual(
      Array.from({ length: 8 }, (_, run) => [`run ${run}`, 'CANCELLED']),
    )
  },
)

test('what a pipeline remembers of restarted runs is bounded', () => {
  const world = new ReducerWorld()
  for (let run = 0; run < 100; run++) world.fold([submit(`run ${run}`, 'restart')])
  expect(world.row<PipelineRow>('M/one').earlier).toEqual(Array.from({ length: 8 }, (_, at) => `run ${91 + at}`))
})

test('whoever asks for a run that was restarted does not get the outcome of the one that took its place', () => {
  const world = new ReducerWorld()
  world.fold([submit('run 0')])
  world.fold([submit('run 1', 'restart')])
  const { sends } = world.fold([
    { type: 'query', question: { ask: 'wait', runs: [['one', 'run 0']] }, replyTo: 'me', correlation: 'c' },
  ])
  expect(sends.map(({ body }) => decodeReply(body))).toMatchObject([
    { type: 'refused', run: 'run 0', failure: { code: 'TASKS_NOT_FOUND' } },
  ])
})

test('whoever asks for a run that was refused does not get the outcome of another definition', () => {
  const world = new ReducerWorld()
  world.fold([submit('run 0')])
  const { hash } = world.row<PipelineRow>('M/one')
  const { sends } = world.fold([
    {
      type: 'query',
      question: {
        ask: 'wait',
        runs: [
          ['one', 'mine', 0, 'of another'],
          ['one', 'the same', 0, hash],
        ],
      },
      replyTo: 'me',
      correlation: 'c',
    },
  ])
  expect(sends.map(({ body }) => decodeReply(body))).toMatchObject([
    { type: 'refused', run: 'mine', failure: { code: 'TASKS_ID_CONFLICT' } },
    { type: 'attached', run: 'the same', actual: 'run 0' },
  ])
})

test.each([true, false])(
  'whoever asks for a run whose submit is on its way hears nothing of one that is being taken away (same definition: %s)',
  (isSame) => {
    const world = new ReducerWorld()
    world.fold([submit('run 0')])
    world.returns('/0', 1)
    world.fireTimer('expire')
    const { hash, leaving } = world.row<PipelineRow>('M/one')
    expect(leaving).toBe(true)
    const answersFor = (run: string) => {
      const runs = [['one', run, 1, isSame ? hash : 'of another'] as const]
      const { sends } = world.fold([
        { type: 'query', question: { ask: 'wait', runs }, replyTo: 'me', correlation: 'c' },
      ])
      return sends.map(({ body }) => decodeReply(body))
    }
    expect(answersFor('run 1')).toEqual([])
    expect(answersFor('run 0')).toMatchObject([{ type: 'ended', run: 'run 0' }])
  },
)
