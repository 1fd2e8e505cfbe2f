import { expect, test } from 'vitest'
import { compile } from './support/compile'

const preamble = `
import { inParallel, type Pipeline } from '../src/pipeline'
import { createTasks } from '../src/tasks'
import { spread } from '../src/spread'
const tasks = createTasks({ namespace: 'errors' })
const count = tasks.bind('count', (xs: string[]) => xs.length)
const shout = tasks.bind('shout', (s: string) => s + '!')
const join = tasks.bind('join', (a: string, b: number) => a + b)
const none = tasks.bind('none', () => 1)
const log = tasks.bind('log', (_s: string) => {})
const maybe = tasks.bind('maybe', (s: string) => (s ? s : undefined))
const pair = tasks.bind('pair', () => spread('a', 1))
const user = tasks.bind('user', (id: number) => ({ id, name: 'x', tags: ['a'] }))
const either = tasks.bind('either', (s: string): string | number | null => s)
const date = tasks.bind('date', (d: Date | null) => d)
`

/** What the compiler says of one wrong line: the first line of each message. */
const says = (line: string): readonly string[] => compile(preamble + line).errors

test('the preamble is right', () => {
  expect(says('')).toEqual([])
})

test('a result that does not fit the next task', () => {
  expect(says(`count.send(['a']).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result 'number' does not fit the first parameter 'string' of this task"'.",
    ]
  `)
  expect(says(`user.send(1).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result '{ id, name, tags }' does not fit the first parameter 'string' of this task"'.",
    ]
  `)
  expect(says(`either.send('x').continueWith(date)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[d: Date | null], Date | null>' is not assignable to parameter of type '"upstream result 'null | string | number' does not fit the first parameter 'null | Date' of this task"'.",
    ]
  `)
  expect(says(`inParallel([shout.send('a')]).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result '[string]' does not fit the first parameter 'string' of this task"'.",
    ]
  `)
  expect(says(`inParallel([shout.send('a'), count.send([])]).continueWith(count)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[xs: string[]], number>' is not assignable to parameter of type '"upstream result '[string, number]' does not fit the first parameter 'string[]' of this task"'.",
    ]
  `)
})

test('a result that may be undefined', () => {
  expect(says(`maybe.send('a').continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"the upstream task may return undefined: return null, or a value in every branch"'.",
    ]
  `)
  expect(says(`maybe.send('a').continueWith(shout.after())`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string, string>' is not assignable to parameter of type '"the upstream task may return undefined: return null, or a value in every branch"'.",
    ]
  `)
  expect(says(`maybe.send('a').continueWith(shout.send('b'))`)).toEqual([])
})

test('own arguments that are missing, too many or wrong', () => {
  expect(says(`shout.send('a').continueWith(join)`)).toMatchInlineSnapshot(`
    [
      "Expected 2 arguments, but got 1.",
    ]
  `)
  expect(says(`shout.send('a').continueWith(join, 'b')`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'string' is not assignable to parameter of type 'number'.",
    ]
  `)
  expect(says(`shout.send('a').continueWith(shout, 'b')`)).toMatchInlineSnapshot(`
    [
      "Expected 1 arguments, but got 2.",
    ]
  `)
  expect(says(`log.send('a').continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Expected 2 arguments, but got 1.",
    ]
  `)
  expect(says(`shout.send('a').continueWith(shout.send('b'), 'c')`)).toMatchInlineSnapshot(`
    [
      "Expected 1 arguments, but got 2.",
    ]
  `)
  expect(says(`shout.send()`)).toMatchInlineSnapshot(`
    [
      "Expected 1 arguments, but got 0.",
    ]
  `)
  expect(says(`shout.send(1)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'number' is not assignable to parameter of type 'string'.",
    ]
  `)
  expect(says(`join.after('a')`)).toMatchInlineSnapshot(`
    [
      "Argument of type '[string]' is not assignable to parameter of type '[string] & [b: number]'.",
    ]
  `)
  expect(says(`join.after('a', 1, 2)`)).toMatchInlineSnapshot(`
    [
      "Argument of type '[string, number, number]' is not assignable to parameter of type 'never'.",
    ]
  `)
})

test('a task without parameters after a value', () => {
  expect(says(`shout.send('a').continueWith(none)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[], 1>' is not assignable to parameter of type '"this task takes no arguments: use its send() to ignore the upstream result 'string'"'.",
    ]
  `)
})

test('a result of several values', () => {
  expect(says(`pair.send().continueWith(count)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[xs: string[]], number>' is not assignable to parameter of type '"upstream result 'spread(string, number)' does not fit the parameters '[string[]]' of this task"'.",
    ]
  `)
  expect(says(`pair.send().continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result 'spread(string, number)' does not fit the parameters '[string]' of this task"'.",
    ]
  `)
})

test('an open pipeline after a result that does not fit', () => {
  expect(says(`count.send([]).continueWith(shout.after())`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string, string>' is not assignable to parameter of type '"upstream result 'number' does not fit 'string', which this pipeline takes"'.",
    ]
  `)
  expect(says(`log.send('a').continueWith(shout.after())`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string, string>' is not assignable to parameter of type '"upstream result 'void' does not fit 'string', which this pipeline takes"'.",
    ]
  `)
  expect(says(`count.send([]).continueWith(inParallel([shout]))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<[string], string>' is not assignable to parameter of type '"upstream result 'number' does not fit 'string', which this pipeline takes"'.",
    ]
  `)
  expect(says(`shout.send('a').continueWith(inParallel([shout, user]))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<[string, { id: number; name: string; tags: string[]; }], never>' is not assignable to parameter of type '"upstream result 'string' cannot fit every chain of this group: their first parameters have nothing in common"'.",
    ]
  `)
})

test('an open pipeline where a closed one is needed', () => {
  expect(says(`const ready: Pipeline<string, void> = shout.after()`)).toMatchInlineSnapshot(`
    [
      "Type 'Pipeline<string, string>' is not assignable to type 'Pipeline<string, void>'.",
    ]
  `)
})

test('something that is neither a task nor a pipeline', () => {
  expect(says(`shout.send('a').continueWith((s: string) => s)`)).toMatchInlineSnapshot(`
    [
      "Argument of type '(s: string) => string' is not assignable to parameter of type '"this is neither a task nor a pipeline: bind the function first, tasks.bind(name, fn)"'.",
    ]
  `)
  expect(says(`inParallel([(s: string) => s])`)).toMatchInlineSnapshot(`
    [
      "Type '(s: string) => string' is not assignable to type 'Composable'.",
    ]
  `)
  expect(says(`inParallel([shout.send('a'), 7])`)).toMatchInlineSnapshot(`
    [
      "Type 'number' is not assignable to type 'Composable'.",
    ]
  `)
})

test('a pipeline is no promise', () => {
  expect(says(`shout.send('a').then((s: string) => s)`)).toMatchInlineSnapshot(`
    [
      "Property 'then' does not exist on type 'Pipeline<string, unknown>'.",
    ]
  `)
})

test('options that do not exist here', () => {
  expect(says(`shout.send('a').set({ timeout: 5 })`)).toMatchInlineSnapshot(`
    [
      "Object literal may only specify known properties, but 'timeout' does not exist in type 'UseOptions'. Did you mean to write 'timeoutMs'?",
    ]
  `)
  expect(says(`shout.send('a').set({ retry: { maxRetries: 1, retryFor: [Error] } })`)).toMatchInlineSnapshot(`
    [
      "Object literal may only specify known properties, and 'retryFor' does not exist in type 'Omit<RetryPolicy, "retryFor">'.",
    ]
  `)
})
