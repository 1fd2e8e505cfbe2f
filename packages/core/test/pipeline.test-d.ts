// Checked by `tsc`: each statement is a rule of how types flow.
import { expectTypeOf } from 'vitest'
import type { TaskError } from '../src/errors'
import { inParallel, type Pipeline, type ResultOf, type Task } from '../src/pipeline'
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
expectTypeOf(tasks.bind('default', (a: string, b = 1) => b + a.length)).toEqualTypeOf<
  Task<[a: string, b?: number], number>
>()

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
