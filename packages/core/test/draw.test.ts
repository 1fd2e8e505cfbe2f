import { expect, test } from 'vitest'
import { encodeDefinition, parseDefinition, parsePage } from '../src/definition'
import { toMermaid, toText } from '../src/draw'
import { jsonCodec } from '../src/json-codec'
import { inParallel, type Pipeline } from '../src/pipeline'
import { createTasks } from '../src/tasks'

const tasks = createTasks({ namespace: 'draw' })
const load = tasks.bind('loadTimeseries', (stock: string) => [stock.length])
const deviation = tasks.bind('stdDev', (prices: number[]) => prices.length)
const mean = tasks.bind('average', (xs: number[]) => xs.length)
const odd = tasks.bind('odd', (x: unknown) => x, { displayName: 'say "hi" <b>\n#1 `x`' })

const risk = inParallel(['MSFT', 'IBM'].map((s) => load.send(s).continueWith(deviation))).continueWith(mean)
const nested = load
  .send('a')
  .continueWith(
    inParallel(
      [
        deviation
          .after()
          .continueWith(inParallel([odd, odd.after().set({ displayName: 'twice' })]))
          .continueWith(odd),
        inParallel([inParallel([])]),
        deviation,
      ],
      { maxParallelism: 2, returnExceptions: true },
    ),
  )
  .continueWith(odd)
const wide = inParallel(Array.from({ length: 250_000 }, () => load.send('x')))
const long = (n: number): Pipeline => {
  let chain: Pipeline = load.send('x')
  for (let i = 1; i < n; i++) chain = chain.continueWith(odd.send(i).set({ displayName: `step${i}` }))
  return chain
}

test('a tree of 1-N-1', () => {
  expect(risk.toText()).toMatchInlineSnapshot(`
    "in parallel: 2 chains
    ├─ loadTimeseries → stdDev
    └─ loadTimeseries → stdDev
    → average"
  `)
})

test('a tree of groups in groups', () => {
  expect(nested.toText()).toMatchInlineSnapshot(`
    "loadTimeseries
    → in parallel: 3 chains, 2 at a time, exceptions returned
      ├─ stdDev
      │  → in parallel: 2 chains
      │    ├─ say "hi" <b> #1 \`x\`
      │    └─ twice
      │  → say "hi" <b> #1 \`x\`
      ├─ in parallel: 1 chain
      │  └─ in parallel: 0 chains
      └─ stdDev
    → say "hi" <b> #1 \`x\`"
  `)
})

test('a tree of very many chains is cut', () => {
  expect(wide.toText({ maxChains: 2 })).toMatchInlineSnapshot(`
    "in parallel: 250,000 chains
    ├─ loadTimeseries
    ├─ loadTimeseries
    └─ … 249,998 more"
  `)
})

test('a tree of a long chain is broken, and cut', () => {
  expect(long(200).toText({ maxEntries: 30 })).toMatchInlineSnapshot(`
    "loadTimeseries → step1 → step2 → step3 → step4 → step5 → step6 → step7 → step8 → step9 → step10
    → step11 → step12 → step13 → step14 → step15 → step16 → step17 → step18 → step19 → step20 → step21
    → step22 → step23 → step24 → step25 → step26 → step27 → step28 → step29 → … 170 more entries"
  `)
})

test('a flowchart of 1-N-1', () => {
  expect(risk.toMermaid()).toMatchInlineSnapshot(`
    "flowchart TD
      subgraph g0["in parallel: 2 chains"]
        n1["loadTimeseries"]
        n2["stdDev"]
        n3["loadTimeseries"]
        n4["stdDev"]
      end
      n5["average"]
      n1 --> n2
      n3 --> n4
      g0 --> n5"
  `)
})

test('a flowchart of groups in groups, with labels escaped', () => {
  expect(nested.toMermaid()).toMatchInlineSnapshot(`
    "flowchart TD
      n0["loadTimeseries"]
      subgraph g1["in parallel: 3 chains, 2 at a time, exceptions returned"]
        n2["stdDev"]
        subgraph g3["in parallel: 2 chains"]
          n4["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
          n5["twice"]
        end
        n6["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
        subgraph g7["in parallel: 1 chain"]
          subgraph g8["in parallel: 0 chains"]
            n9["nothing"]
          end
        end
        n10["stdDev"]
      end
      n11["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
      n2 --> g3
      g3 --> n6
      n0 --> g1
      g1 --> n11"
  `)
})

test('a flowchart of very many chains is cut', () => {
  expect(wide.toMermaid({ maxChains: 1 })).toMatchInlineSnapshot(`
    "flowchart TD
      subgraph g0["in parallel: 250,000 chains"]
        n1["loadTimeseries"]
        n2["… 249,999 more"]
      end"
  `)
})

test('groups in groups in groups do not explode', () => {
  let deep: Pipeline<unknown, never> = load.send('x')
  for (let i = 0; i < 60; i++) deep = inParallel(Array.from({ length: 10 }, () => deep))
  expect(deep.toText().split('\n').length).toBeLessThan(4_000)
  expect(deep.toMermaid().split('\n').length).toBeLessThan(10_000)
})

test('a definition is drawn as its pipeline', () => {
  const options = { codec: jsonCodec(), inlineBytes: 100, blobName: () => 'b' }
  for (const pipeline of [risk, nested]) {
    const whole = parseDefinition(encodeDefinition(pipeline, { ...options, pageBytes: 10_000 }).pages[0]!)
    expect([toText(whole), toMermaid(whole)]).toEqual([pipeline.toText(), pipeline.toMermaid()])
  }
  const { pages } = encodeDefinition(wide, { ...options, pageBytes: 4096 })
  const paged = parseDefinition(pages[0]!)
  expect(toText(paged, { page: (n) => parsePage(pages[n]!, paged, n) })).toBe(wide.toText())
  expect(toText(paged)).toBe('in parallel: 250,000 chains\n└─ … 250,000 more')
})

test('nothing else is drawn', () => {
  expect(() => toText({})).toThrow('a pipeline or a definition is needed to draw')
  expect(() => risk.toText({ maxChains: 0 })).toThrow('maxChains must be an integer of at least 1, not 0')
})
