// Checked by `tsc`: each statement is a rule of how types flow.
import { expectTypeOf } from 'vitest'
import type { TaskError } from '../src/errors'
import { taskContext, type TaskState } from '../src/context'
import {
  fanOut,
  inParallel,
  sleep,
  sleepUntil,
  type FinalPipeline,
  type Pipeline,
  type ResultOf,
  type Submittable,
  type Task,
} from '../src/pipeline'
import type { PassedOn } from '../src/passing'
import { spread, type Spread } from '../src/spread'
import { createTasks } from '../src/tasks'
import type { StandardSchema } from '../src/schema'

const tasks = createTasks({ namespace: 'types' })
const load = tasks.bind('load', async (stock: string): Promise<number[]> => [stock.length])
const deviation = tasks.bind('deviation', (prices: number[]): number => prices.length)
const mean = tasks.bind('mean', (xs: number[]): number => xs.length)
const join = tasks.bind('join', (a: string, b: number): string => a + String(b))
const log = tasks.bind('log', (_line: string): void => undefined)
const none = tasks.bind('none', (): string => '')
const pair = tasks.bind('pair', () => spread('a', 1))
const optional = tasks.bind('optional', (a: string, b?: number): string => a + String(b))
const rest = tasks.bind('rest', (first: string, ...more: number[]): number => more.length + first.length)
const colour = tasks.bind('colour', (name: 'red' | 'green', of: string): string => name + of)

// A bound function is called as itself.
expectTypeOf(load('x')).toEqualTypeOf<Promise<number[]>>()
expectTypeOf(deviation).toEqualTypeOf<Task<[prices: number[]], number>>()

// A parameter with a default has its type without saying so.
const defaulted = tasks.bind('default', (a: string, b = 1) => b + a.length)
expectTypeOf(defaulted.send('a')).toEqualTypeOf<Pipeline<number>>()
expectTypeOf(defaulted.send('a', 2)).toEqualTypeOf<Pipeline<number>>()

// Promises are unwrapped.
expectTypeOf(load.send('x')).toEqualTypeOf<Pipeline<number[]>>()
expectTypeOf(load.send('x').continueWith(deviation)).toEqualTypeOf<Pipeline<number>>()

// The upstream result comes first, own arguments after it.
expectTypeOf(none.send().continueWith(join, 1)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(none.send().continueWith(join.after(1))).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(none.send().continueWith(optional)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(none.send().continueWith(optional, 1)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(none.send().continueWith(rest, 1, 2, 3)).toEqualTypeOf<Pipeline<number>>()

// An open entry says what it takes.
expectTypeOf(deviation.after()).toEqualTypeOf<Pipeline<number, number[]>>()
expectTypeOf(join.after(1)).toEqualTypeOf<Pipeline<string, string>>()
expectTypeOf(join.after()).toEqualTypeOf<Pipeline<string, Spread<[string, number]>>>()
expectTypeOf(join.after('a', 1)).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(optional.after()).toEqualTypeOf<Pipeline<string, string | Spread<[string, number]>>>()
expectTypeOf(colour.after('x')).toEqualTypeOf<Pipeline<string, 'red' | 'green'>>()
expectTypeOf(colour.after('red', 'x')).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(none.after()).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(rest.after()).toExtend<Pipeline<number, string>>()

// What a pipeline takes, it takes however it goes on.
expectTypeOf(deviation.after().continueWith(none.send())).toEqualTypeOf<Pipeline<string, number[]>>()

// A closed entry takes anything, and ignores it.
expectTypeOf(mean.send([1]).continueWith(none.send())).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(none.send()).toExtend<Pipeline<string, void>>()

// Nothing is passed on where there is nothing.
expectTypeOf(log.send('x').continueWith(none)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(log.send('x').continueWith(join, 'a', 1)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(log.send('x').continueWith(join.after('a', 1))).toEqualTypeOf<Pipeline<string>>()

// spread fills several parameters.
expectTypeOf(pair.send().continueWith(join)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(pair.send().continueWith(join.after())).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(pair.send().continueWith(rest, 2, 3)).toEqualTypeOf<Pipeline<number>>()
expectTypeOf<ResultOf<ReturnType<typeof pair.send>>>().toEqualTypeOf<[string, number]>()

// Groups: a tuple for a tuple, an array for an array; a bare task is after().
const group = inParallel([load.send('a').continueWith(deviation), none.send(), log.send('x'), pair.send()])
expectTypeOf(group).toEqualTypeOf<Pipeline<[number, string, undefined, [string, number]]>>()
const many = inParallel(['a', 'b'].map((s) => load.send(s).continueWith(deviation)))
expectTypeOf(many).toEqualTypeOf<Pipeline<number[]>>()
expectTypeOf(many.continueWith(mean)).toEqualTypeOf<Pipeline<number>>()
expectTypeOf(inParallel([deviation, mean])).toEqualTypeOf<Pipeline<[number, number], number[]>>()
expectTypeOf(inParallel([deviation, none.send()])).toEqualTypeOf<Pipeline<[number, string], number[]>>()
expectTypeOf(load.send('x').continueWith(inParallel([deviation, mean]))).toEqualTypeOf<Pipeline<[number, number]>>()
expectTypeOf(inParallel([])).toEqualTypeOf<Pipeline<[]>>()
expectTypeOf(inParallel([inParallel([none.send()]), inParallel([])])).toEqualTypeOf<Pipeline<[[string], []]>>()
expectTypeOf(inParallel([none.send(), none.send()], { returnExceptions: true })).toEqualTypeOf<
  Pipeline<[string | TaskError, string | TaskError]>
>()
expectTypeOf(inParallel([none.send()], { maxParallelism: 2 })).toEqualTypeOf<Pipeline<[string]>>()

// A task that returns a pipeline gives that pipeline's result.
const risk = tasks.bind('risk', (stocks: string[]) =>
  inParallel(stocks.map((s) => load.send(s).continueWith(deviation))).continueWith(mean),
)
expectTypeOf(risk.send(['a'])).toEqualTypeOf<Pipeline<number>>()
const branch = tasks.bind('branch', async (x: number) => (x > 1 ? none.send() : x))
expectTypeOf(branch.send(1)).toEqualTypeOf<Pipeline<string | number>>()
expectTypeOf<ResultOf<typeof risk>>().toEqualTypeOf<number>()
expectTypeOf<ResultOf<typeof many>>().toEqualTypeOf<number[]>()
expectTypeOf<ResultOf<typeof log>>().toEqualTypeOf<undefined>()

// any and never pass.
const loose = tasks.bind('loose', (x: unknown) => JSON.parse(String(x)) as never)
expectTypeOf(loose.send(1).continueWith(mean)).toEqualTypeOf<Pipeline<number>>()
// oxlint-disable-next-line typescript/no-explicit-any -- the rule under test
const wild = tasks.bind('wild', (): any => 1)
expectTypeOf(wild.send().continueWith(join, 1)).toEqualTypeOf<Pipeline<string>>()

// Options are per use, and keep the types.
expectTypeOf(deviation.after().set({ retry: { maxRetries: 2 }, priority: 1 })).toEqualTypeOf<
  Pipeline<number, number[]>
>()

// Any pipeline is a pipeline.
expectTypeOf(group).toExtend<Pipeline<unknown, never>>()
expectTypeOf(deviation.after()).toExtend<Pipeline<unknown, never>>()
expectTypeOf<Pipeline<'a'>>().toExtend<Pipeline<string>>()
expectTypeOf<Pipeline<string, string>>().toExtend<Pipeline<string, 'a'>>()

// A stub has the types of what it stands for.
const stub = tasks.declare<typeof load>('load')
expectTypeOf(stub.send('x')).toEqualTypeOf<Pipeline<number[]>>()
const plain = tasks.declare<(id: number) => Promise<string>>('plain')
expectTypeOf(plain.send(1).continueWith(join, 2)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(tasks.send(join, 'a', 1)).toEqualTypeOf<Pipeline<string>>()

// Schemas give what the parameters take.
declare const text: StandardSchema<unknown, string>
declare const count: StandardSchema<unknown, number>
tasks.bind('checked', (a: string, b: number) => a + String(b), { inputs: [text, count] })
tasks.bind('half', (a: string, b: number) => a + String(b), { inputs: [undefined, count] })
// @ts-expect-error the second parameter is a number
tasks.bind('wrong', (a: string, b: number) => a + String(b), { inputs: [text, text] })

// A chain keeps its types however it is annotated.
const step: Task<[number[]], number> = deviation
expectTypeOf(load.send('x').continueWith(step)).toEqualTypeOf<Pipeline<number>>()

// A handler gets the error first; what goes on is the result, or the handler's.
const apologise = tasks.bind('apologise', (error: TaskError, name: string): string => error.message + name)
const ignore = tasks.bind('ignore', (_error: unknown): void => undefined)
expectTypeOf(none.send().exceptionally(apologise, 'x')).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(load.send('x').exceptionally(apologise, 'x')).toEqualTypeOf<Pipeline<number[] | string>>()
expectTypeOf(load.send('x').exceptionally(ignore)).toEqualTypeOf<Pipeline<number[] | void>>()
expectTypeOf(
  load.send('x').exceptionally(ignore).exceptionally(apologise, 'x').continueWith(none.send()),
).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(inParallel([none.send()]).exceptionally(apologise, 'x')).toEqualTypeOf<Pipeline<[string] | string>>()
expectTypeOf(deviation.after().exceptionally(apologise, 'x')).toEqualTypeOf<Pipeline<number | string, number[]>>()
const fallback = tasks.bind('fallback', (_error: Error) => load.send('y'))
expectTypeOf(load.send('x').exceptionally(fallback).continueWith(deviation)).toEqualTypeOf<Pipeline<number>>()

// Nothing comes after finallyDo, and the result is that of the chain.
expectTypeOf(load.send('x').finallyDo(none)).toEqualTypeOf<FinalPipeline<number[]>>()
expectTypeOf(load.send('x').finallyDo(join, 'a', 1)).toEqualTypeOf<FinalPipeline<number[]>>()
expectTypeOf(load.send('x').finallyDo(optional, 'a').set({ timeoutMs: 5 })).toEqualTypeOf<FinalPipeline<number[]>>()
expectTypeOf(deviation.after().finallyDo(none)).toEqualTypeOf<FinalPipeline<number, number[]>>()
expectTypeOf<ResultOf<FinalPipeline<Spread<[1, 2]>>>>().toEqualTypeOf<[1, 2]>()
expectTypeOf(load.send('x').finallyDo(none)).toExtend<Submittable<number[], void>>()
expectTypeOf(load.send('x')).toExtend<Submittable<number[], void>>()
expectTypeOf(load.send('x').finallyDo(none)).not.toExtend<Pipeline<unknown, never>>()
const careful = tasks.bind('careful', (x: string) => load.send(x).finallyDo(none))
expectTypeOf(careful.send('x').continueWith(deviation)).toEqualTypeOf<Pipeline<number>>()

// One chain for each element.
expectTypeOf(fanOut(join.after(1))).toEqualTypeOf<Pipeline<string[], readonly string[]>>()
expectTypeOf(load.send('x').continueWith(fanOut(tasks.bind('half', (n: number) => n / 2)))).toEqualTypeOf<
  Pipeline<number[]>
>()
expectTypeOf(many.continueWith(fanOut(tasks.bind('half', (n: number) => n / 2))).continueWith(mean)).toEqualTypeOf<
  Pipeline<number>
>()
expectTypeOf(inParallel([none.send(), none.send()]).continueWith(fanOut(join.after(1)))).toEqualTypeOf<
  Pipeline<string[]>
>()
expectTypeOf(fanOut(load, { maxParallelism: 2, returnExceptions: true })).toEqualTypeOf<
  Pipeline<(number[] | TaskError)[], readonly string[]>
>()
expectTypeOf(fanOut(none.send())).toEqualTypeOf<Pipeline<string[], readonly unknown[]>>()
expectTypeOf(fanOut(log)).toEqualTypeOf<Pipeline<undefined[], readonly string[]>>()
expectTypeOf(fanOut(fanOut(deviation))).toEqualTypeOf<Pipeline<number[][], readonly (readonly number[][])[]>>()
expectTypeOf(fanOut(load.after().continueWith(deviation))).toEqualTypeOf<Pipeline<number[], readonly string[]>>()

// A sleep passes on what it got, and is no upstream of its own.
expectTypeOf(sleep(5)).toEqualTypeOf<Pipeline<PassedOn>>()
expectTypeOf(load.send('x').continueWith(sleep(5))).toEqualTypeOf<Pipeline<number[]>>()
expectTypeOf(load.send('x').continueWith(sleepUntil(5)).continueWith(deviation)).toEqualTypeOf<Pipeline<number>>()
expectTypeOf(log.send('x').continueWith(sleep(5)).continueWith(none)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(sleep(5).continueWith(none.send())).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(sleep(5).continueWith(none)).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(sleep(5).continueWith(deviation)).toEqualTypeOf<Pipeline<number, number[]>>()
expectTypeOf(sleep(5).continueWith(join, 1)).toEqualTypeOf<Pipeline<string, string>>()
expectTypeOf(sleep(5).continueWith(deviation.after())).toEqualTypeOf<Pipeline<number, number[]>>()
expectTypeOf(sleep(5).continueWith(sleep(6)).continueWith(deviation)).toEqualTypeOf<Pipeline<number, number[]>>()
expectTypeOf(load.send('x').continueWith(sleep(5).continueWith(deviation))).toEqualTypeOf<Pipeline<number>>()
expectTypeOf(inParallel([sleep(5), sleep(5).continueWith(deviation)])).toEqualTypeOf<
  Pipeline<[unknown, number], number[]>
>()
expectTypeOf(fanOut(sleep(5).continueWith(deviation))).toEqualTypeOf<Pipeline<number[], readonly number[][]>>()
expectTypeOf<ResultOf<ReturnType<typeof sleep>>>().toEqualTypeOf<undefined>()

// A condition that is known while composing gives either type.
expectTypeOf(none.send().continueIf(true, join, 1)).toEqualTypeOf<Pipeline<string>>()
expectTypeOf(load.send('x').continueIf(true, deviation)).toEqualTypeOf<Pipeline<number[] | number>>()
expectTypeOf(load.send('x').continueIf(false, sleep(5))).toEqualTypeOf<Pipeline<number[]>>()

// What begins a pipeline fits what its first entry takes; after it, nothing comes from upstream.
expectTypeOf(deviation.after().withInitial({ args: [[1]] })).toEqualTypeOf<Pipeline<number, void>>()
expectTypeOf(join.after().withInitial({ args: ['a', 1] })).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(optional.after().withInitial({ args: ['a'] })).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(optional.after().withInitial({ args: ['a', 1] })).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(fanOut(load).withInitial({ args: [['a', 'b']] })).toEqualTypeOf<Pipeline<number[][], void>>()
expectTypeOf(inParallel([deviation, mean]).withInitial({ args: [[1]], state: { n: 1 } })).toEqualTypeOf<
  Pipeline<[number, number], void>
>()
expectTypeOf(
  none
    .send()
    .withInitial({ state: { n: 1 } })
    .continueWith(join, 1),
).toEqualTypeOf<Pipeline<string, void>>()
expectTypeOf(
  deviation
    .after()
    .finallyDo(none)
    .withInitial({ args: [[1]] }),
).toEqualTypeOf<FinalPipeline<number, void>>()
expectTypeOf(load.send('x').pauseAfter().inline()).toEqualTypeOf<Pipeline<number[]>>()

// State is as the task says that it is.
expectTypeOf(taskContext().state).toEqualTypeOf<TaskState>()
interface Counted {
  count: number
}
expectTypeOf(taskContext<Counted>().state.get('count')).toEqualTypeOf<number | undefined>()
expectTypeOf(taskContext<Counted>().state.get()).toEqualTypeOf<Readonly<Partial<Counted>>>()
expectTypeOf(taskContext().state.get('any')).toEqualTypeOf<unknown>()
declare const counted: StandardSchema<unknown, Counted>
tasks.bind('counts', () => taskContext<Counted>().state.set('count', 1), { state: counted, checkpoint: false })
