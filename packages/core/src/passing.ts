// The calling rule, for the compiler: the upstream result first, then the entry's own arguments. Types only.
//
// A check gives `unknown` if all is well, else a string type: the message that the compiler shows. So each method has one signature
// and an error has one line.
import type { Spread } from './spread'

declare const PASSED: unique symbol

/** The result of an entry that passes on what it got. */
export interface PassedOn {
  readonly [PASSED]: true
}

type IsAny<T> = 0 extends 1 & T ? true : false
type IsNever<T> = [T] extends [never] ? true : false
/** Nothing is passed on. */
type IsNothing<T> = IsNever<T> extends true ? false : [T] extends [undefined | void] ? true : false
/** Whatever comes from upstream, which is not known yet, is passed on. */
export type IsPassedOn<T> =
  IsAny<T> extends true ? false : [T] extends [PassedOn] ? (IsNever<T> extends true ? false : true) : false
type MayBeNothing<T> = IsNever<Extract<T, undefined | void>> extends true ? false : true

/** What the parameters of a function are without the first. */
type Tail<Args extends readonly unknown[]> = Args extends readonly []
  ? []
  : ((...args: Args) => void) extends (first: never, ...rest: infer Rest) => void
    ? Rest
    : []

type First<Args extends readonly unknown[]> = Required<Args>[0]

/** Parameters without as many as there are `Values`. */
type Drop<Args extends readonly unknown[], Values extends readonly unknown[]> = Values extends readonly [
  unknown,
  ...infer More,
]
  ? Drop<Tail<Args>, More>
  : Values extends readonly []
    ? Args
    : []

/** The arguments of its own that a task still needs after an upstream result. */
export type RestAfter<Out, Args extends readonly unknown[]> =
  IsAny<Out> extends true
    ? Tail<Args>
    : IsNothing<Out> extends true
      ? Args
      : [Out] extends [Spread<infer Values>]
        ? IsNever<Out> extends true
          ? Tail<Args>
          : Drop<Args, Values>
        : Tail<Args>

type NothingOrValue = 'the upstream task may return undefined: return null, or a value in every branch'

type OneOrSeveral = 'the upstream task may return one value or several (spread): return the same in every branch'
type MayBeSpread<T> = IsNever<Extract<T, Spread>> extends true ? false : true

/** Whether an upstream result may be the first argument of a task. */
export type TaskFits<Out, Args extends readonly unknown[]> =
  IsAny<Out> extends true
    ? unknown
    : IsNever<Out> extends true
      ? unknown
      : [Out] extends [PassedOn | undefined | void]
        ? unknown
        : MayBeNothing<Out> extends true
          ? NothingOrValue
          : [Out] extends [Spread<infer Values>]
            ? SpreadFits<Values, Args>
            : MayBeSpread<Out> extends true
              ? OneOrSeveral
              : Args extends readonly []
                ? `this task takes no arguments: use its send() to ignore the upstream result '${Show<Out>}'`
                : [Out] extends [First<Args>]
                  ? unknown
                  : `upstream result '${Show<Out>}' does not fit the first parameter '${Show<First<Args>>}' of this task`

type SpreadFits<Values extends readonly unknown[], Args extends readonly unknown[]> = [
  ...Values,
  ...Drop<Args, Values>,
] extends Args
  ? unknown
  : `upstream result '${Show<Spread<Values>>}' does not fit the parameters '${Show<Args>}' of this task`

/** Whether an upstream result may go into a pipeline. */
export type PipelineFits<Out, In> =
  IsAny<Out> extends true
    ? unknown
    : unknown extends In
      ? unknown
      : IsNever<Out> extends true
        ? unknown
        : IsNothing<Out> extends true
          ? PipelineTakes<void, In>
          : [Out] extends [PassedOn]
            ? unknown
            : MayBeNothing<Out> extends true
              ? NothingOrValue
              : PipelineTakes<Out, In>

type PipelineTakes<Out, In> = [Out] extends [In]
  ? unknown
  : IsNever<In> extends true
    ? `upstream result '${Show<Out>}' cannot fit every chain of this group: their first parameters have nothing in common`
    : [In] extends [void]
      ? `this pipeline takes nothing from upstream, and would get '${Show<Out>}'`
      : `upstream result '${Show<Out>}' does not fit '${Show<In>}', which this pipeline takes`

/** Whether the error may be the first argument of a task that handles it. */
export type HandlerFits<Failure, Args extends readonly unknown[]> = Args extends readonly []
  ? 'an error handler takes the error as its first parameter: (error: TaskError) => …'
  : [Failure] extends [First<Args>]
    ? unknown
    : `an error handler gets a TaskError, which does not fit its first parameter '${Show<First<Args>>}'`

/** What stands for an upstream result at the start of a pipeline. */
export type InitialArgs<In> = unknown extends In
  ? readonly unknown[]
  : In extends void
    ? readonly []
    : In extends Spread<infer Values>
      ? Readonly<Values>
      : readonly [In]

/** Parameters, and what is left of them without the first, the first two, and so on. */
type Suffix<Args extends readonly unknown[]> = Args extends readonly []
  ? []
  : Args[number][] extends Args
    ? Args
    : Args | Suffix<Tail<Args>>

type OfLength<Lists extends readonly unknown[], Length> = Lists extends unknown
  ? Length extends Lists['length']
    ? Lists
    : never
  : never

/** What may be given to `after`: as many of the last parameters as there are arguments. */
export type LastOf<Args extends readonly unknown[], Length> =
  IsNever<OfLength<Suffix<Args>, Length>> extends true ? Suffix<Args> : OfLength<Suffix<Args>, Length>

/** What an entry with these arguments of its own may take from upstream, so that its parameters are filled. */
export type AfterIn<
  Args extends readonly unknown[],
  Own extends readonly unknown[],
  Before extends readonly unknown[] = [],
  Left extends readonly unknown[] = Args,
> =
  | (Fill<Own, Left> extends true ? AsUpstream<Before> : never)
  | (Left extends readonly []
      ? never
      : Left[number][] extends Left
        ? (Before extends readonly [] ? Left[number] : never) | Spread<[...Before, ...Left]>
        : AfterIn<Args, Own, [...Before, First<Left>], Tail<Left>>)

// Literals among the arguments are inferred as their wider types, so that either may be assignable to the other. The arguments
// themselves are checked against `LastOf`.
type Fill<Own extends readonly unknown[], Left extends readonly unknown[]> = Own extends readonly [
  infer Head,
  ...infer More,
]
  ? Left extends readonly []
    ? false
    : [Head] extends [Left[0]]
      ? Fill<More, Tail<Left>>
      : [First<Left>] extends [Head]
        ? Fill<More, Tail<Left>>
        : false
  : [] extends Left
    ? true
    : false

type AsUpstream<Values extends readonly unknown[]> = Values extends readonly []
  ? void
  : Values extends readonly [infer Value]
    ? Value
    : Spread<Values>

/** A result as a client or a list has it: several values are an array, nothing is `undefined`. */
export type Plain<Out> =
  IsAny<Out> extends true ? Out : Out extends Spread<infer Values> ? Values : Out extends void ? undefined : Out

// ---- Types as text -------------------------------------------------------------------------------------------------

/** Names a type for a message. Only computed for an error. */
type Show<T> =
  IsAny<T> extends true
    ? 'any'
    : IsNever<T> extends true
      ? 'never'
      : unknown extends T
        ? 'unknown'
        : IsNothing<T> extends true
          ? 'void'
          : boolean extends T
            ? IsNever<Exclude<T, boolean>> extends true
              ? 'boolean'
              : `boolean | ${Show<Exclude<T, boolean>>}`
            : UnionToTuple<T> extends infer Members extends readonly unknown[]
              ? Members['length'] extends 1
                ? ShowOne<T>
                : ShowMembers<Members>
              : never

type ShowMembers<Members extends readonly unknown[]> = Members extends readonly [infer Head, ...infer More]
  ? More extends readonly []
    ? ShowOne<Head>
    : `${ShowOne<Head>} | ${ShowMembers<More>}`
  : never

type ShowOne<T> = T extends string
  ? string extends T
    ? 'string'
    : `"${T}"`
  : T extends number
    ? number extends T
      ? 'number'
      : `${T}`
    : T extends boolean
      ? `${T}`
      : T extends bigint
        ? 'bigint'
        : T extends symbol
          ? 'symbol'
          : T extends null | undefined
            ? `${T}`
            : T extends Spread<infer Values>
              ? `spread(${ShowList<Values>})`
              : T extends Date
                ? 'Date'
                : T extends Uint8Array
                  ? 'Uint8Array'
                  : T extends Error
                    ? 'Error'
                    : T extends ReadonlyMap<infer Key, infer Value>
                      ? `Map<${Show<Key>}, ${Show<Value>}>`
                      : T extends ReadonlySet<infer Value>
                        ? `Set<${Show<Value>}>`
                        : T extends readonly unknown[]
                          ? ShowArray<T>
                          : T extends (...args: never) => unknown
                            ? 'function'
                            : ShowObject<T>

type ShowArray<T extends readonly unknown[]> = number extends T['length']
  ? Show<T[number]> extends infer Item extends string
    ? Item extends `${string} | ${string}`
      ? `(${Item})[]`
      : `${Item}[]`
    : never
  : `[${ShowList<T>}]`

type ShowList<T extends readonly unknown[]> =
  Required<T> extends readonly [infer Head, ...infer More]
    ? More extends readonly []
      ? Show<Head>
      : `${Show<Head>}, ${ShowList<More>}`
    : T extends readonly []
      ? ''
      : `...${Show<T[number]>}[]`

type ShowObject<T> =
  UnionToTuple<keyof T & string> extends infer Keys extends readonly string[] ? `{${ShowKeys<Keys>}}` : 'object'

type ShowKeys<Keys extends readonly string[], Count extends readonly unknown[] = []> = Keys extends readonly [
  infer Head extends string,
  ...infer More extends readonly string[],
]
  ? Count['length'] extends 5
    ? ' … '
    : More extends readonly []
      ? ` ${Head} `
      : ` ${Head},${ShowKeys<More, [...Count, 0]>}`
  : ''

// The members of a union have no order in the language; the compiler's own is good enough to name them.
type UnionToTuple<T> =
  LastMember<T> extends infer Last ? (IsNever<T> extends true ? [] : [...UnionToTuple<Exclude<T, Last>>, Last]) : never
type LastMember<T> =
  Intersection<T extends unknown ? (x: T) => void : never> extends (x: infer Last) => void ? Last : never

type Intersection<T> = (T extends unknown ? (x: T) => void : never) extends (x: infer I) => void ? I : never
