// The oracle against what a person would say of small pipelines: a wrong oracle and a wrong engine that agree prove nothing.
import { expect, test } from 'vitest'
import {
  interpret,
  type GroupUnit,
  type ListenUnit,
  type Program,
  type TaskUnit,
  type Unit,
  type WaitUnit,
} from '../src/index'

const task = (label: string, more: Partial<TaskUnit> = {}): TaskUnit => ({
  kind: 'task',
  label,
  open: true,
  gives: 'one',
  fails: 0,
  how: 'throws',
  policy: 'used',
  ms: 0,
  ...more,
})
const failing = (label: string, more: Partial<TaskUnit> = {}): TaskUnit => task(label, { fails: 9, ...more })
const group = (chains: readonly (Unit | Program)[], more: Partial<GroupUnit> = {}): GroupUnit => ({
  kind: 'group',
  chains: chains.map((chain) => ('kind' in chain ? [chain] : chain)),
  returnExceptions: false,
  ...more,
})
const resultOf = (...program: Unit[]): unknown => interpret(program).outcome
const ranIn = (...program: Unit[]): Record<string, number> =>
  Object.fromEntries([...interpret(program).runs].map(([label, { attempts }]) => [label, attempts]))

test('a result is the first argument of what follows, and a closed entry takes none', () => {
  expect(resultOf(task('a'), task('b'))).toEqual({ result: ['b(["a()"])'] })
  expect(resultOf(task('a'), task('b', { open: false }))).toEqual({ result: ['b()'] })
})

test('several values are as many arguments, and nothing is none', () => {
  expect(resultOf(task('a', { gives: 'several' }), task('b'))).toEqual({ result: ['b("a()","a")'] })
  expect(resultOf(task('a', { gives: 'nothing' }), task('b'))).toEqual({ result: ['b()'] })
  expect(resultOf(task('a', { gives: 'nothing' }))).toEqual({ result: null })
  expect(resultOf(task('a', { gives: 'several' }))).toEqual({ result: ['a()', 'a'] })
})

test('a group gives every chain what came from upstream, and a list of results in order', () => {
  expect(resultOf(task('a'), group([task('b'), [task('c'), task('d')]]))).toEqual({
    result: [['b(["a()"])'], ['d(["c([\\"a()\\"])"])']],
  })
})

test('groups in groups give lists in lists, and empty ones empty lists', () => {
  expect(resultOf(group([group([task('a')]), group([])]))).toEqual({ result: [[['a()']], []] })
  expect(resultOf(group([]), task('f'))).toEqual({ result: ['f([])'] })
  expect(resultOf(task('a'), group([]))).toEqual({ result: [] })
})

test('a failure ends its chain; a group waits for the others, and fails with all that failed', () => {
  const program = [group([task('a'), [failing('b'), task('x')], task('c'), failing('d')]), task('join')]
  expect(resultOf(...program)).toEqual({
    failure: {
      failed: [
        { failed: 'b failed', task: 'act', attempt: 1, index: 1 },
        { failed: 'd failed', task: 'act', attempt: 1, index: 3 },
      ],
      count: 2,
    },
  })
  expect(ranIn(...program)).toEqual({ a: 1, b: 1, c: 1, d: 1 })
})

test('with returnExceptions the failures are values of the list', () => {
  expect(resultOf(group([task('a'), failing('b')], { returnExceptions: true }))).toEqual({
    result: [['a()'], { failed: 'b failed', task: 'act', attempt: 1 }],
  })
})

test('a task is tried again as often as its policy says, and not at all after a failure for good', () => {
  expect(ranIn(task('a', { fails: 3, retries: 3 }))).toEqual({ a: 4 })
  expect(resultOf(task('a', { fails: 4, retries: 3 }))).toEqual({
    failure: { failed: 'a failed', task: 'act', attempt: 4 },
  })
  expect(ranIn(task('a', { fails: 1, retries: 3, how: 'throws for good' }))).toEqual({ a: 1 })
})

test('a returned pipeline stands in for the result, takes nothing, and its failure is not retried', () => {
  const program = [task('a'), task('b', { returns: [task('c')] }), task('d')]
  expect(resultOf(...program)).toEqual({ result: ['d(["c()"])'] })
  expect(ranIn(task('a', { retries: 5, returns: [failing('b')] }))).toEqual({ a: 1, b: 1 })
  expect(interpret(program)).toMatchObject({ tasks: 4, done: 4, attempts: 4 })
})

test('a handler gets the failure before it, and what it returns goes on; a failure of its own goes to the next one', () => {
  const handler = (label: string, more: Partial<TaskUnit> = {}): TaskUnit => task(label, { role: 'handler', ...more })
  const failure = '{"failed":"a failed","task":"act","attempt":1}'
  expect(resultOf(failing('a'), task('b'), handler('c'), task('d'))).toEqual({
    result: [`d(["c(${failure.replaceAll('"', '\\"')})"])`],
  })
  expect(ranIn(task('a'), handler('b'), handler('c'), task('d'), handler('e'))).toEqual({ a: 1, d: 1 })
  expect(resultOf(failing('a'), handler('b', { fails: 9 }), handler('c', { gives: 'nothing' }), task('d'))).toEqual({
    result: ['d()'],
  })
  expect(ranIn(failing('a'), group([[task('b'), handler('c')]]), handler('d'))).toEqual({ a: 1, d: 1 })
})

test('what runs at the end gets nothing and changes nothing, but that its failure takes the place of a success, or is told beside another', () => {
  const end = task('end', { role: 'finally', open: false })
  expect(resultOf(task('a'), end)).toEqual({ result: ['a()'] })
  const failures = [
    { failed: 'end failed', task: 'act', attempt: 1 },
    { failed: 'end failed', task: 'act2', attempt: 3 },
  ]
  expect(resultOf(failing('a'), { ...end, fails: 9 })).toEqual({
    failure: { failed: 'a failed', task: 'act', attempt: 1, suppressed: failures.slice(0, 1) },
  })
  const inner = [group([failing('b')]), { ...end, fails: 9 }]
  expect(resultOf(task('a', { returns: inner }), { ...end, fails: 9, retries: 2, policy: 'bound' })).toEqual({
    failure: { failed: [{ failed: 'b failed', task: 'act', attempt: 1, index: 0 }], count: 1, suppressed: failures },
  })
  expect(resultOf(task('a'), { ...end, fails: 9 })).toEqual({
    failure: { failed: 'end failed', task: 'act', attempt: 1 },
  })
  expect(interpret([task('a', { returns: [task('b'), end] }), task('c')]).runs.get('c')!.after).toEqual(['end'])
})

test('a chain runs for each element of a list, and a sleep passes on what it gets', () => {
  const list = task('abc', { gives: 'list' })
  expect(
    resultOf(list, { kind: 'sleep', ms: 1 }, { kind: 'each', chain: [task('b')], returnExceptions: false }),
  ).toEqual({
    result: [['b("abc()#0")'], ['b("abc()#1")'], ['b("abc()#2")']],
  })
  expect(interpret([list, { kind: 'each', chain: [task('b')], returnExceptions: false }])).toMatchObject({
    tasks: 4,
    done: 4,
    attempts: 5,
  })
})

test('what waits for an event takes nothing and gives what has come, or fails when it has waited for too long', () => {
  const wait: WaitUnit = { kind: 'wait', key: 'k', own: true }
  expect(resultOf(task('a'), wait)).toEqual({ result: { key: 'k', number: 0 } })
  expect(resultOf({ ...wait, match: 2 }, task('a'))).toEqual({ result: ['a({"key":"k","number":2})'] })
  const { heard, after } = interpret([task('a'), wait, wait, task('b')]).runs.get('b')!
  expect([heard, after]).toEqual([[wait, wait], ['a']])
  const late: WaitUnit = { ...wait, timeoutMs: 50 }
  expect(resultOf(late)).toEqual({ failure: { failed: 'TASKS_TIMEOUT', attempt: 0 } })
  const mended = interpret([task('a'), late, task('b', { role: 'handler' })]).runs.get('b')!
  expect([mended.asleepMs, [...mended.saw]]).toEqual([50, ['b({"failed":"TASKS_TIMEOUT","attempt":0})']])
})

test('what a listener asks for is acknowledged before anything goes on; who waits for no longer than so long says so first', () => {
  const listen: ListenUnit = { kind: 'listen', key: 'k', number: 1, afterMs: 5 }
  expect(resultOf(listen)).toEqual({ result: { key: 'k', number: 1 } })
  const both = interpret([task('a'), { ...listen, fails: 1 }, { ...listen, number: 2 }, task('b')])
  expect(both).toMatchObject({ tasks: 6, done: 6, attempts: 8, listenRaces: 0 })
  expect(both.runs.get('b')!.heard.map(({ key }) => key)).toEqual(['k', 'k'])
  const late: ListenUnit = { ...listen, timeoutMs: 50 }
  expect(interpret([late])).toMatchObject({ tasks: 3, done: 1, attempts: 2 })
  expect(resultOf(late)).toEqual({ failure: { failed: 'TASKS_TIMEOUT', task: 'listen:source', attempt: 1 } })
  // Of a run that is tried again the time is its own: it is decided in a pipeline that takes the place of the one who asked.
  expect(interpret([late], 3)).toMatchObject({ tasks: 7, done: 5, attempts: 8 })
  const race: ListenUnit = { ...listen, raceMs: 50 }
  expect(interpret([race, task('a')])).toMatchObject({ tasks: 4, done: 4, attempts: 4, races: 0, listenRaces: 1 })
  expect(resultOf(race)).toEqual({ result: [{ key: 'k', number: 1 }] })
})

test('who races gets the same, in a list, whether the event came in time or not', () => {
  const race: WaitUnit = { kind: 'wait', key: 'k', raceMs: 50 }
  expect(interpret([race, task('a')])).toMatchObject({ tasks: 1, done: 1, attempts: 1, races: 1 })
  expect(resultOf(race)).toEqual({ result: [{ key: 'k', number: 0 }] })
  expect(interpret([failing('a'), race])).toMatchObject({ tasks: 2, done: 0, races: 0 })
})

test('what kills its process is given up, and not tried again', () => {
  expect(resultOf(failing('a', { how: 'kills', retries: 3 }))).toEqual({
    failure: { failed: 'TASKS_MAX_DELIVERIES', task: 'act', attempt: 1 },
  })
})

test('a task sees what those before it have set, and not what a failed attempt has', () => {
  const sets = (label: string, key: string, more: Partial<TaskUnit> = {}): TaskUnit =>
    task(label, { gives: 'nothing', sets: [[key, 'shared']], ...more })
  const tells = task('t', { tells: true })
  expect(resultOf(sets('a', 'x'), sets('b', 'y'), tells)).toEqual({ result: ['t()@x=x@y=y'] })
  expect(resultOf(sets('a', 'x'), task('b', { gives: 'nothing', sets: [['x', 'nothing']] }), tells)).toEqual({
    result: ['t()'],
  })
  const handler = task('h', { role: 'handler', gives: 'nothing' })
  expect(resultOf(sets('a', 'x'), sets('b', 'y', { fails: 9 }), handler, tells)).toEqual({ result: ['t()@x=x'] })
  expect(resultOf({ kind: 'begin', state: { x: 'z' } }, tells)).toEqual({ result: ['t()@x=z'] })
})

test('chains of a group do not see each other; what they have set is merged, and two values of one key are a conflict', () => {
  const chain = (label: string, key: string, to: 'own' | 'shared'): TaskUnit =>
    task(label, { sets: [[key, to]], tells: true })
  const tells = task('t', { tells: true, open: false })
  expect(resultOf(group([chain('a', 'x', 'shared'), chain('b', 'y', 'shared')]), tells)).toEqual({
    result: ['t()@x=x@y=y'],
  })
  expect(resultOf(group([chain('a', 'x', 'shared'), chain('b', 'x', 'shared')]), tells)).toEqual({
    result: ['t()@x=x'],
  })
  const conflict = [group([chain('a', 'x', 'own'), chain('b', 'x', 'own')]), tells]
  expect(resultOf(...conflict)).toEqual({ failure: { failed: 'TASKS_STATE_CONFLICT', attempt: 0 } })
  const failed = group([chain('a', 'x', 'own'), { ...chain('b', 'x', 'own'), fails: 9 }], { returnExceptions: true })
  expect(resultOf(failed, tells)).toEqual({ result: ['t()@x=a()'] })
})

test('a returned pipeline has a state of its own, unless it is inline', () => {
  const inner = task('b', { sets: [['y', 'shared']], tells: true })
  const outer = (returns: Program): Program => [
    task('a', { gives: 'nothing', sets: [['x', 'shared']], returns }),
    task('t', { tells: true }),
  ]
  expect(resultOf(...outer([inner]))).toEqual({ result: ['t(["b()"])@x=x'] })
  expect(resultOf(...outer([{ kind: 'begin', inline: true }, inner]))).toEqual({ result: ['t(["b()@x=x"])@x=x@y=y'] })
  const fails = outer([{ kind: 'begin', inline: true }, inner, failing('c')])
  const handler = task('h', { role: 'handler', gives: 'nothing' })
  expect(resultOf(fails[0]!, handler, fails[1]!)).toEqual({ result: ['t()@x=x'] })
})

test('arguments that a pipeline begins with are its first upstream result; what is left out is not there', () => {
  expect(resultOf({ kind: 'begin', args: ['x', 'y'] }, task('a'))).toEqual({ result: ['a("x","y")'] })
  expect(resultOf(task('a'), task('b', { when: false }), task('c', { when: true }))).toEqual({
    result: ['c(["a()"])'],
  })
  expect(interpret([task('a'), task('b', { when: false })]).tasks).toBe(1)
})

test('who does not look at the order of a list sees it in one order', () => {
  const lists = [group([task('b', { loose: true }), task('a', { loose: true })], { unordered: true })]
  expect(resultOf(...lists, task('t', { loose: true }))).toEqual({ result: ['t([["a()"],["b()"]])'] })
})

test('a retry goes on where the run before has failed, and what had ended well is kept', () => {
  const program = [
    task('a'),
    group([task('b', { open: false }), [task('c'), failing('d', { heals: 2 }), task('e', { open: false })]]),
    failing('f', { heals: 3 }),
    task('end', { role: 'finally', open: false }),
  ]
  const labels = (run: number): string[] => [...interpret(program, run).runs.keys()]
  expect(labels(1)).toEqual(['a', 'b', 'c', 'd', 'end'])
  expect(labels(2)).toEqual(['d', 'e', 'f', 'end'])
  expect(labels(3)).toEqual(['f', 'end'])
  expect(interpret(program, 9)).toMatchObject({
    run: 3,
    outcome: { result: ['f([["b()"],["e()"]])'] },
    tasks: 7,
    done: 9,
    attempts: 11,
  })
})

test('a retry runs again the handler that failed, not what it was for; and only the task at the end, if all else was well', () => {
  const handled = [failing('a'), task('h', { role: 'handler', fails: 9, heals: 2 }), task('b')]
  expect([...interpret(handled, 2).runs.keys()]).toEqual(['h', 'b'])
  const end = task('end', { role: 'finally', open: false, fails: 9, heals: 2 })
  expect([...interpret([task('a'), end], 2).runs.keys()]).toEqual(['end'])
  const returned = [task('a', { returns: [task('b'), failing('c', { heals: 2 })] }), task('d')]
  expect([...interpret(returned, 2).runs.keys()]).toEqual(['c', 'd'])
})

test('what follows a pause waits for a resume, and what follows a sleep for its time', () => {
  const { runs } = interpret([
    task('a', { pauses: true }),
    { kind: 'sleep', ms: 5 },
    { kind: 'sleep', ms: 2 },
    task('b'),
    task('c'),
  ])
  expect(runs.get('b')).toMatchObject({ after: ['a'], resumed: true, asleepMs: 7 })
  expect(runs.get('c')).toMatchObject({ after: ['b'], resumed: false, asleepMs: 0 })
})

test('what follows a group starts after the last task of each of its chains', () => {
  const { runs } = interpret([
    task('a'),
    group([task('b'), [task('c'), failing('d')]], { returnExceptions: true }),
    task('e'),
  ])
  expect(runs.get('b')!.after).toEqual(['a'])
  expect(runs.get('e')!.after).toEqual(['b', 'd'])
})
