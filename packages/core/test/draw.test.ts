import { expect, test } from 'vitest'
import { encodeDefinition } from '../src/definition-encoder'
import { parseDefinition, parsePage } from '../src/definition-parser'
import { toMermaid, toText } from '../src/draw'
import { jsonCodec } from '../src/json-codec'
import { fanOut, inParallel, sleep, sleepUntil, type Pipeline } from '../src/pipeline'
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

const lists = tasks.bind('lists', () => [[1]])
const apologise = tasks.bind('apologise', (error: unknown) => String(error))
const everything = load
  .send('a')
  .continueWith(sleep(90_061_001))
  .continueWith(
    fanOut(odd.after().exceptionally(apologise).continueWith(odd).pauseAfter(), {
      maxParallelism: 10,
      ordered: false,
    }),
  )
  .pauseAfter()
  .exceptionally(apologise)
  .exceptionally(apologise)
  .continueWith(
    inParallel([sleep(0), sleepUntil(0), lists.send().continueWith(fanOut(fanOut(odd)))], { ordered: false }),
  )
  .continueWith(odd)
  .finallyDo(odd, 'done')
  .set({ displayName: 'clean up' })

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

test('a tree of handlers, sleeps, fan-outs, pauses and a finally', () => {
  expect(everything.toText()).toMatchInlineSnapshot(`
    "loadTimeseries → sleep 1 d 1 h 1 min 1 s 1 ms
    → for each, 10 at a time, results as they come
      └─ say "hi" <b> #1 \`x\` → on error: apologise → say "hi" <b> #1 \`x\` → pause
    → pause → on error: apologise → on error: apologise
    → in parallel: 3 chains, results as they come
      ├─ sleep 0 ms
      ├─ sleep until 1970-01-01T00:00:00.000Z
      └─ lists
         → for each
           └─ for each
              └─ say "hi" <b> #1 \`x\`
    → say "hi" <b> #1 \`x\` → finally: clean up"
  `)
})

test('a tree that is cut ends with its finally', () => {
  expect(long(200).finallyDo(mean, []).toText({ maxEntries: 2 })).toMatchInlineSnapshot(
    `"loadTimeseries → step1 → … 198 more entries → finally: average"`,
  )
})

test('a flowchart of handlers, sleeps, fan-outs, pauses and a finally', () => {
  expect(everything.toMermaid()).toMatchInlineSnapshot(`
    "flowchart TD
      n0["loadTimeseries"]
      n1(["sleep 1 d 1 h 1 min 1 s 1 ms"])
      subgraph g2["for each, 10 at a time, results as they come"]
        n3["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
        n4["on error: apologise"]
        n5["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
        n6{{"pause"}}
      end
      n7{{"pause"}}
      n8["on error: apologise"]
      n9["on error: apologise"]
      subgraph g10["in parallel: 3 chains, results as they come"]
        n11(["sleep 0 ms"])
        n12(["sleep until 1970-01-01T00:00:00.000Z"])
        n13["lists"]
        subgraph g14["for each"]
          subgraph g15["for each"]
            n16["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
          end
        end
      end
      n17["say #34;hi#34; #60;b#62; #35;1 #96;x#96;"]
      n18["finally: clean up"]
      n0 --> n1
      n3 -. error .-> n4
      n3 --> n5
      n4 --> n5
      n5 --> n6
      n1 --> g2
      g2 --> n7
      n7 -. error .-> n8
      n8 -. error .-> n9
      n13 --> g14
      n7 --> g10
      n8 --> g10
      n9 --> g10
      g10 --> n17
      n17 --> n18"
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
  for (const pipeline of [risk, nested, everything]) {
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
