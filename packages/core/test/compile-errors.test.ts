import { expect, test, vi } from 'vitest'
import { compile } from './support/compile'

// Each line is a program of its own, and a busy machine compiles slowly.
vi.setConfig({ testTimeout: 60_000 })

const preamble = `
import { fanOut, inParallel, sleep, type Pipeline, type Submittable } from '../src/pipeline'
import type { TaskError } from '../src/errors'
import { taskContext } from '../src/context'
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
const handle = tasks.bind('handle', (error: TaskError, note: string) => note)
const branch = tasks.bind('branch', (s: string) => (s ? s : spread(s, 1)))
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

test('a result that may be one value or several', () => {
  expect(says(`branch.send('a').continueWith(join)`)).toMatchInlineSnapshot(`
    [
      "Expected 2 arguments, but got 1.",
    ]
  `)
})

test('a handler that cannot take the error', () => {
  expect(says(`shout.send('a').exceptionally(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"an error handler gets a TaskError, which does not fit its first parameter 'string'"'.",
    ]
  `)
  expect(says(`shout.send('a').exceptionally(none)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[], 1>' is not assignable to parameter of type '"an error handler takes the error as its first parameter: (error: TaskError) => …"'.",
    ]
  `)
  expect(says(`shout.send('a').exceptionally(handle)`)).toMatchInlineSnapshot(`
    [
      "Expected 2 arguments, but got 1.",
    ]
  `)
  expect(says(`shout.send('a').exceptionally(handle, 1)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'number' is not assignable to parameter of type 'string'.",
    ]
  `)
  expect(says(`shout.send('a').exceptionally(handle.after('x'))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string, TaskError>' is not assignable to parameter of type '"an error handler is a task: tasks.bind(name, (error: TaskError) => …)"'.",
    ]
  `)
  expect(says(`shout.send('a').exceptionally((error: Error) => 'x')`)).toMatchInlineSnapshot(`
    [
      "Argument of type '(error: Error) => string' is not assignable to parameter of type '"an error handler is a task: tasks.bind(name, (error: TaskError) => …)"'.",
    ]
  `)
})

test('what goes on after a handler fits what follows', () => {
  expect(says(`shout.send('a').exceptionally(tasks.bind('h', (_: unknown) => 1)).continueWith(shout)`))
    .toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result 'string | 1' does not fit the first parameter 'string' of this task"'.",
    ]
  `)
  expect(says(`shout.send('a').exceptionally(tasks.bind('h', (_: unknown) => {})).continueWith(shout)`))
    .toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"the upstream task may return undefined: return null, or a value in every branch"'.",
    ]
  `)
})

test('a handler or a finally without anything before it', () => {
  expect(says(`shout.exceptionally(handle, 'x')`)).toMatchInlineSnapshot(`
    [
      "Property 'exceptionally' does not exist on type 'Task<[s: string], string>'.",
    ]
  `)
  expect(says(`shout.finallyDo(none)`)).toMatchInlineSnapshot(`
    [
      "Property 'finallyDo' does not exist on type 'Task<[s: string], string>'.",
    ]
  `)
})

test('what comes after finallyDo', () => {
  expect(says(`shout.send('a').finallyDo(none).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Property 'continueWith' does not exist on type 'FinalPipeline<string, unknown>'.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(none).exceptionally(handle, 'x')`)).toMatchInlineSnapshot(`
    [
      "Property 'exceptionally' does not exist on type 'FinalPipeline<string, unknown>'.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(none).finallyDo(none)`)).toMatchInlineSnapshot(`
    [
      "Property 'finallyDo' does not exist on type 'FinalPipeline<string, unknown>'.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(none).pauseAfter()`)).toMatchInlineSnapshot(`
    [
      "Property 'pauseAfter' does not exist on type 'FinalPipeline<string, unknown>'.",
    ]
  `)
})

test('a pipeline with finallyDo inside another', () => {
  expect(says(`shout.send('a').continueWith(shout.send('b').finallyDo(none))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'FinalPipeline<string, unknown>' is not assignable to parameter of type '"this pipeline ends with finallyDo: submit it, or return it from a task; it can be no part of another"'.",
    ]
  `)
  expect(says(`inParallel([shout.send('a').finallyDo(none)])`)).toMatchInlineSnapshot(`
    [
      "Type 'FinalPipeline<string, unknown>' is not assignable to type 'Composable'.",
    ]
  `)
  expect(says(`fanOut(shout.after().finallyDo(none))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'FinalPipeline<string, string>' is not assignable to parameter of type 'Composable'.",
    ]
  `)
})

test('finallyDo with other arguments than its task has', () => {
  expect(says(`shout.send('a').finallyDo(shout)`)).toMatchInlineSnapshot(`
    [
      "Expected 2 arguments, but got 1.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(shout, 1)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'number' is not assignable to parameter of type 'string'.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(none, 1)`)).toMatchInlineSnapshot(`
    [
      "Expected 1 arguments, but got 2.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(none.send())`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<1, unknown>' is not assignable to parameter of type '"finallyDo takes a task, and then its arguments"'.",
    ]
  `)
  expect(says(`shout.send('a').finallyDo(() => 1)`)).toMatchInlineSnapshot(`
    [
      "Argument of type '() => number' is not assignable to parameter of type '"finallyDo takes a task, and then its arguments"'.",
    ]
  `)
})

test('a fan-out over something else', () => {
  expect(says(`shout.send('a').continueWith(fanOut(shout))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string[], readonly string[]>' is not assignable to parameter of type '"upstream result 'string' does not fit 'string[]', which this pipeline takes"'.",
    ]
  `)
  expect(says(`user.send(1).continueWith(fanOut(shout))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string[], readonly string[]>' is not assignable to parameter of type '"upstream result '{ id, name, tags }' does not fit 'string[]', which this pipeline takes"'.",
    ]
  `)
  expect(says(`count.send([]).continueWith(fanOut(none.send()))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<1[], readonly unknown[]>' is not assignable to parameter of type '"upstream result 'number' does not fit 'unknown[]', which this pipeline takes"'.",
    ]
  `)
  expect(says(`inParallel([count.send([])]).continueWith(fanOut(shout))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string[], readonly string[]>' is not assignable to parameter of type '"upstream result '[number]' does not fit 'string[]', which this pipeline takes"'.",
    ]
  `)
  expect(says(`inParallel([shout.send('a')]).continueWith(fanOut(shout)).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result 'string[]' does not fit the first parameter 'string' of this task"'.",
    ]
  `)
  expect(says(`fanOut((s: string) => s)`)).toMatchInlineSnapshot(`
    [
      "Argument of type '(s: string) => string' is not assignable to parameter of type 'Composable'.",
    ]
  `)
  expect(says(`const ready: Submittable<string[], void> = fanOut(shout)`)).toMatchInlineSnapshot(`
    [
      "Type 'Pipeline<string[], readonly string[]>' is not assignable to type 'Submittable<string[], void>'.",
    ]
  `)
})

test('a sleep passes on what does not fit', () => {
  expect(says(`count.send([]).continueWith(sleep(5)).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[s: string], string>' is not assignable to parameter of type '"upstream result 'number' does not fit the first parameter 'string' of this task"'.",
    ]
  `)
  expect(says(`count.send([]).continueWith(sleep(5).continueWith(shout))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string, string>' is not assignable to parameter of type '"upstream result 'number' does not fit 'string', which this pipeline takes"'.",
    ]
  `)
  expect(says(`const ready: Submittable<string, void> = sleep(5).continueWith(shout)`)).toMatchInlineSnapshot(`
    [
      "Type 'Pipeline<string, string>' is not assignable to type 'Submittable<string, void>'.",
    ]
  `)
  expect(says(`sleep('5')`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'string' is not assignable to parameter of type 'number'.",
    ]
  `)
})

test('initial values that do not fit', () => {
  expect(says(`shout.after().withInitial({ args: [1] })`)).toMatchInlineSnapshot(`
    [
      "Type 'number' is not assignable to type 'string'.",
    ]
  `)
  expect(says(`shout.after().withInitial({ args: 'a' })`)).toMatchInlineSnapshot(`
    [
      "Type 'string' is not assignable to type 'readonly [string]'.",
    ]
  `)
  expect(says(`join.after().withInitial({ args: ['a'] })`)).toMatchInlineSnapshot(`
    [
      "Type '[string]' is not assignable to type 'readonly [string, number]'.",
    ]
  `)
  expect(says(`shout.send('a').withInitial({ args: ['a'] })`)).toMatchInlineSnapshot(`[]`)
  expect(says(`shout.send('a').withInitial({ state: 1 })`)).toMatchInlineSnapshot(`
    [
      "Type 'number' is not assignable to type 'Readonly<Record<string, unknown>>'.",
    ]
  `)
  expect(says(`shout.send('a').withInitial({ arguments: [] })`)).toMatchInlineSnapshot(`
    [
      "Object literal may only specify known properties, and 'arguments' does not exist in type 'Initial<readonly unknown[]>'.",
    ]
  `)
  expect(says(`shout.send('a').continueWith(shout.after().withInitial({ args: ['a'] }))`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Pipeline<string, void>' is not assignable to parameter of type '"this pipeline takes nothing from upstream, and would get 'string'"'.",
    ]
  `)
})

test('a condition that is no boolean', () => {
  expect(says(`shout.send('a').continueIf(() => true, shout)`)).toMatchInlineSnapshot(`
    [
      "Argument of type '() => boolean' is not assignable to parameter of type 'boolean'.",
    ]
  `)
  expect(says(`shout.send('a').continueIf(true, count)`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'Task<[xs: string[]], number>' is not assignable to parameter of type '"upstream result 'string' does not fit the first parameter 'string[]' of this task"'.",
    ]
  `)
})

test('state of another type', () => {
  expect(says(`taskContext<{ count: number }>().state.set('count', 'a')`)).toMatchInlineSnapshot(`
    [
      "Argument of type 'string' is not assignable to parameter of type 'number'.",
    ]
  `)
  expect(says(`taskContext<{ count: number }>().state.get('total')`)).toMatchInlineSnapshot(`
    [
      "Argument of type '"total"' is not assignable to parameter of type '"count"'.",
    ]
  `)
  expect(says(`taskContext<{ count: number }>().state.get().count = 1`)).toMatchInlineSnapshot(`
    [
      "Cannot assign to 'count' because it is a read-only property.",
    ]
  `)
})

test('options of a group that do not exist', () => {
  expect(says(`inParallel([none.send()], { stages: 2 })`)).toMatchInlineSnapshot(`
    [
      "Object literal may only specify known properties, and 'stages' does not exist in type 'GroupOptions<false>'.",
    ]
  `)
  expect(says(`inParallel([none.send()], { ordered: 'no' })`)).toMatchInlineSnapshot(`
    [
      "Type 'string' is not assignable to type 'boolean | undefined'.",
    ]
  `)
})
