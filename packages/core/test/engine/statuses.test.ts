// The status machine of ARCHITECTURE.md §4, cell by cell: what brings a pipeline from each status to which other, and what is refused.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Draft } from '../../src/engine/draft'
import type { CommandAnswer } from '../../src/engine/control'
import { pipelineKey } from '../../src/engine/row-keys'
import { isOver, type PipelineRow } from '../../src/engine/rows'
import { Plan, type TaskUse } from '../../src/plan'
import { failureValue, NONE, type Value } from '../../src/value'
import { COMMANDS, type Command } from '../../src/wire/inbox-message'
import { decodeReply, type Status } from '../../src/wire/reply'
import { ReducerWorld, submitOf } from './reducer-world'

const STATUSES = ['RUNNING', 'PAUSED', 'CANCELLING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const

/** What happens to a pipeline that is one task, which is with a worker while the pipeline is live. */
const EVENTS = [
  ...COMMANDS,
  'its last task succeeds',
  'its last task fails',
  'the grace is over',
  'the retention is over',
  'submit',
  'submit, restart',
  'submit, reject',
] as const

type Event = (typeof EVENTS)[number]

const task = (step: object): TaskUse => ({
  task: { name: 'task', step },
  open: false,
  args: [],
  overrides: undefined,
})
const pipeline = new Plan(undefined, task({}))
const FAILURE = failureValue({ code: 'TASKS_TASK_FAILED', name: 'Error', message: 'no luck' })

class World extends ReducerWorld {
  #commands = 0

  get pipeline(): PipelineRow | undefined {
    const key = pipelineKey('p')
    return this.rows.has(key) ? this.row<PipelineRow>(key) : undefined
  }

  command(name: Command): Draft {
    const commandId = `command ${this.#commands++}`
    return this.fold([{ type: 'command', command: name, id: 'p', commandId, replyTo: 'me', correlation: commandId }])
  }

  /** A worker reports the task that was sent last. */
  report(value: Value): Draft {
    const { id, run, path, attempt } = this.dispatches.at(-1)!
    return this.fold([{ type: 'outcomes', outcomes: [{ id, run, path, attempt, value }] }])
  }

  submit(run: string, onDuplicate?: 'reject' | 'restart'): Draft {
    const options = onDuplicate === undefined ? { replyTo: 'me' } : { replyTo: 'me', onDuplicate }
    return this.fold([submitOf('p', run, pipeline, options)])
  }

  fire(event: Event): Draft | undefined {
    switch (event) {
      case 'its last task succeeds':
        return this.report(NONE)
      case 'its last task fails':
        return this.report(FAILURE)
      case 'the grace is over':
        return void this.fireTimer('grace')
      case 'the retention is over':
        return void this.fireTimer('expire')
      case 'submit':
        return this.submit('second')
      case 'submit, restart':
        return this.submit('second', 'restart')
      case 'submit, reject':
        return this.submit('second', 'reject')
      case 'pause':
      case 'resume':
      case 'cancel':
      case 'retry':
      case 'delete':
        return this.command(event)
    }
  }
}

function worldIn(status: Exclude<Status, 'PENDING'>): World {
  const world = new World()
  world.submit('first')
  if (status === 'PAUSED') world.command('pause')
  if (status === 'CANCELLING' || status === 'CANCELLED') world.command('cancel')
  if (status === 'COMPLETED' || status === 'CANCELLED') world.report(NONE)
  if (status === 'FAILED') world.report(FAILURE)
  expect(world.pipeline!.status).toBe(status)
  return world
}

/** Where a pipeline is after an event and all that follows from it by itself: `refused`, `gone`, or a status; `(new run)` if it is another run. */
async function after(world: World, event: Event): Promise<string> {
  const before = world.pipeline!
  const draft = world.fire(event)
  const answer = draft?.answers[0]?.answer as CommandAnswer | undefined
  const refusal = draft?.sends
    .flatMap(({ target, body }) => (target.to === 'reply' ? [decodeReply(body)] : []))
    .find(({ type }) => type === 'refused')
  if (refusal !== undefined || (answer !== undefined && 'refused' in answer)) {
    // What is refused changes nothing but that it is remembered, and says which status it is that does not go with it.
    assert.deepEqual({ ...world.pipeline!, commands: undefined }, { ...before, commands: undefined })
    if (answer !== undefined && 'refused' in answer) {
      assert.equal(answer.refused.code, 'TASKS_STATUS')
      assert.ok(answer.refused.message.includes(before.status) && answer.refused.message.includes(event))
    }
    return 'refused'
  }
  while (await world.work(10)) {
    // what is to be cleaned
  }
  const row = world.pipeline
  if (row === undefined) return 'gone'
  return row.status + (row.run === before.run ? '' : ' (new run)')
}

/** The table of the document: rows are events, columns statuses. An empty cell is a status that stays. */
function documented(): Map<string, string> {
  const text = readFileSync(new URL('../../../../ARCHITECTURE.md', import.meta.url), 'utf8')
  const lines = text
    .slice(text.indexOf(`| | ${STATUSES.join(' | ')} |`))
    .split('\n\n', 1)[0]!
    .split('\n')
  const cells = new Map<string, string>()
  for (const line of lines.slice(2)) {
    const [event, ...to] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', ''))
    STATUSES.forEach((status, column) => cells.set(`${status}, ${event}`, to[column]! || status))
  }
  return cells
}

const table = documented()

test('the document has a cell for each status and event', () => {
  expect([...table.keys()].sort()).toEqual(
    STATUSES.flatMap((status) => EVENTS.map((event) => `${status}, ${event}`)).sort(),
  )
})

test.each(STATUSES.flatMap((status) => EVENTS.map((event) => [status, event] as const)))(
  '%s, %s: as the document says',
  async (status, event) => {
    expect(await after(worldIn(status), event)).toBe(table.get(`${status}, ${event}`))
  },
)

test.each(STATUSES.flatMap((status) => COMMANDS.map((command) => [status, command] as const)))(
  '%s, %s twice with one id: once',
  (status, command) => {
    const world = worldIn(status)
    const message = { type: 'command', command, id: 'p', commandId: 'one', replyTo: 'me', correlation: 'c' } as const
    world.fold([message])
    const row = world.pipeline
    world.fold([message])
    expect(world.pipeline).toEqual(row)
  },
)

test('a command for a pipeline that is not there is TASKS_NOT_FOUND', () => {
  for (const command of COMMANDS)
    expect(new World().command(command).answers[0]!.answer).toMatchObject({ refused: { code: 'TASKS_NOT_FOUND' } })
})

test('an entry that says so pauses its pipeline when it has ended, unless that has ended with it', () => {
  const world = new World()
  const pausing = new Plan(undefined, task({ pauseAfter: true }))
  world.fold([submitOf('p', 'first', new Plan(pausing, task({})))])
  world.report(NONE)
  expect(world.pipeline!.status).toBe('PAUSED')
  const last = new World()
  last.fold([submitOf('p', 'first', pausing)])
  last.report(NONE)
  expect(last.pipeline!.status).toBe('COMPLETED')
})

test('each run comes to one end, whatever happens in whatever order', async () => {
  // Every two events after each other, from every status: an end is told once a run.
  for (const status of STATUSES)
    for (const first of EVENTS)
      for (const second of EVENTS) {
        const world = worldIn(status)
        world.fire(first)
        if (world.pipeline !== undefined) world.fire(second)
        while (await world.work(10));
        const runs = world.ended.map(({ run }) => run)
        expect(new Set(runs).size, `${status}, ${first}, ${second}`).toBe(runs.length)
        const row = world.pipeline
        const fits = row === undefined || runs.includes(row.run) === isOver(row.status)
        expect(fits, `${status}, ${first}, ${second}`).toBe(true)
      }
})
