import assert from 'node:assert/strict'
import type { ListenerHarness } from './listener-harness'
import { ListenerStage } from './listener-stage'
import type { Crash } from './mortal-transport'

/** One promise of listeners, tried in one way: as data, for any runner, and for listeners that are broken on purpose. */
export interface ListenerCase {
  /** A sentence about the listener. Unique: mutants refer to it. */
  readonly name: string
  /** What goes wrong for users where it is not kept. */
  readonly because: string
  /** Rejects if the promise is broken. Cleans up after itself. */
  run(harness: ListenerHarness): Promise<void>
}

/** So many deaths are tried at a time. */
const CALLS = 8

const staged =
  (play: (stage: ListenerStage) => Promise<void>): ListenerCase['run'] =>
  (harness) =>
    ListenerStage.play(harness, play)

/** What listeners promise: fire, fire once, commit before they checkpoint, survive, stop. */
export const listenerCases: readonly ListenerCase[] = [
  {
    name: 'fires when its event happens, and not before',
    because: 'a pipeline that goes on by itself has not waited',
    run: staged(async (stage) => {
      await stage.process()
      const run = await stage.submit('p', stage.wait(0))
      const ending = stage.result(run).then((event) => ({ event, inTime: stage.source.hasOccurred(0) }))
      await stage.quiet()
      const event = await stage.source.occur(0, 'p')
      assert.deepEqual(await ending, { event, inTime: true })
    }),
  },
  {
    name: 'fires once for each event, in turn',
    because: 'an order that is seen twice is shipped twice',
    run: staged(async (stage) => {
      await stage.process()
      const run = await stage.submit('p', stage.wait(0).continueWith(stage.wait(1)))
      const first = await stage.source.occur(0, 'p')
      await stage.eventually(() => assert.ok(stage.notes.length > 0))
      await stage.quiet()
      assert.ok(stage.notes.length === 1 || stage.source.hasOccurred(1), 'the second wait took an event that was not')
      const second = await stage.source.occur(1, 'p')
      assert.deepEqual(await stage.result(run), second)
      assert.deepEqual(
        stage.notes.map(({ event }) => event),
        [first, second],
      )
    }),
  },
  {
    name: 'gives each event to one of those who wait',
    because: 'those who share a source share its work',
    run: staged(async (stage) => {
      await Promise.all([stage.process(), stage.process({ localLane: false })])
      const ids = ['a', 'b', 'c', 'd', 'e']
      const runs = await Promise.all(ids.map((id, nth) => stage.submit(id, stage.wait(nth))))
      const events = await Promise.all(ids.map((id, nth) => stage.source.occur(nth, id)))
      const got = await Promise.all(runs.map((run) => stage.result(run)))
      assert.deepEqual(sorted(got), sorted(events))
    }),
  },
  {
    name: 'tells its source that an event is safe, before what comes next',
    because: 'a source that is told nothing keeps everything, and gives it out again',
    run: staged(async (stage) => {
      await stage.process()
      const run = await stage.submit('p', stage.wait(0))
      await stage.source.occur(0, 'p')
      await stage.result(run)
      assert.deepEqual(
        stage.notes.map(({ held }) => held),
        [0],
      )
    }),
  },
  {
    name: 'loses no event and invents none, wherever its worker dies',
    because:
      'the source may forget an event only when the pipeline has it, and the pipeline has one event however often it was given out',
    async run(harness) {
      await Promise.all((['lost', 'unanswered'] as const).map((how) => survivesAll(harness, how)))
    },
  },
  {
    name: 'goes on elsewhere at once when its worker closes',
    because: 'a deploy must not wait for an event that comes next week, nor lose the one that comes meanwhile',
    run: staged(async (stage) => {
      const first = await stage.process()
      const run = await stage.submit('p', stage.wait(0))
      await stage.quiet()
      await stage.within('the close of a worker that listens', first.worker.close())
      // Nobody is there, unless somebody who should not.
      const event = await stage.source.occur(0, 'p')
      await stage.quiet()
      await stage.process()
      assert.deepEqual(await stage.result(run), event)
      assert.equal(stage.notes.length, 1)
    }),
  },
  {
    name: 'waits no longer when its pipeline is cancelled, and takes nothing from others',
    because: 'an event that goes to a pipeline which is no more is lost',
    run: staged(async (stage) => {
      await stage.process()
      const cancelled = await stage.submit('p', stage.wait(0))
      await stage.quiet()
      await cancelled.cancel()
      await assert.rejects(stage.result(cancelled), { code: 'TASKS_CANCELLED' })
      const event = await stage.source.occur(0, 'q')
      await stage.quiet()
      const run = await stage.submit('q', stage.wait(0))
      assert.deepEqual(await stage.result(run), event)
      assert.equal(stage.notes.length, 1)
    }),
  },
]

/** The worker dies at its first call, or its second, and so on, until it makes no call more before everything is done. */
async function survivesAll(harness: ListenerHarness, how: Crash['how']): Promise<void> {
  for (let first = 1; ; first += CALLS) {
    const calls = Array.from({ length: CALLS }, (_, i) => first + i)
    const died = await Promise.all(
      calls.map((at) => ListenerStage.play(harness, (stage) => survives(stage, { at, how }))),
    )
    assert.ok(first > 1 || died[0], 'a worker that makes no call cannot die of one: nothing was tried')
    if (!died.at(-1)) return
  }
}

/** @returns whether it came to the crash */
async function survives(stage: ListenerStage, crash: Crash): Promise<boolean> {
  const first = await stage.process({ crash, localLane: crash.how === 'lost' })
  const run = await stage.submit('p', stage.wait(0))
  const occurring = stage.source.occur(0, 'p')
  const ending = stage.result(run)
  const died = await Promise.race([first.died.then(() => true), ending.then(() => false)])
  await stage.process()
  const [event, got] = await Promise.all([occurring, ending])
  assert.deepEqual(got, event)
  // What comes next is a task, which may run twice: with the same event.
  for (const note of stage.notes) assert.deepEqual(note.event, event)
  await stage.eventually(async () => assert.equal((await stage.source.held?.()) ?? 0, 0, 'it was not told'))
  return died
}

function sorted(events: readonly unknown[]): readonly string[] {
  return events.map((event) => JSON.stringify(event)).sort()
}
