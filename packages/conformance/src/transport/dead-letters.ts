import assert from 'node:assert/strict'
import type { DeadLetterInfo, Send } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, oddBodies, sameBytes, text, toTask } from '../content'

function letterOf(message: string, body = bytes(message)): Send {
  return { target: { to: 'dead', letter: { reason: 'failed', message, source: 'q' } }, id: message, body }
}

export const deadLetters: readonly ConformanceCase[] = [
  {
    name: 'keeps dead letters whole',
    promise: 'dead letters',
    because: 'they are all that is left of a task, and what a person has to go by',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const info: DeadLetterInfo = {
        reason: 'max-deliveries',
        message: 'it "failed"\né 😀',
        source: 'inbox/3',
        pipelineId: 'p/1',
        task: 'load',
        failure: '{"message":"x"}',
      }
      const before = await here.now()
      await here.send([{ target: { to: 'dead', letter: info }, id: 'd1', body: oddBodies[4]! }, letterOf('small')])
      const [first, second] = await there.dead.list({ limit: 10 })
      assert.deepEqual(first!.info, info)
      sameBytes(first!.body, oddBodies[4]!, 'the letter')
      assert.deepEqual(second!.info, { reason: 'failed', message: 'small', source: 'q' })
      assert.ok(Math.abs(first!.at - before) < 60_000, `it came at ${before}, not at ${first!.at}`)
      assert.deepEqual(await there.dead.get(first!.id), first, 'get gives another letter than list')
      assert.equal(await there.dead.get('no such letter'), undefined)
    }),
  },
  {
    name: 'lists dead letters in the order of their arrival, page by page',
    promise: 'dead letters',
    because: 'a person reads them from the oldest on, and a tool works through them',
    run: staged(async (stage) => {
      const space = await stage.open()
      for (let i = 0; i < 25; i++) await space.send([letterOf(`m${i}`)])
      const seen: string[] = []
      for (let after: string | undefined; ;) {
        const page = await space.dead.list({ limit: 10, ...(after === undefined ? {} : { after }) })
        assert.ok(page.length <= 10, `a page of 10 has ${page.length}`)
        seen.push(...page.map(({ info }) => info.message))
        if (page.length < 10 || seen.length > 25) break
        after = page.at(-1)!.id
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 25 }, (_, i) => `m${i}`),
      )
    }),
  },
  {
    name: 'redrives a dead letter once',
    promise: 'dead letters',
    because: 'the bug is fixed, and the task is to run',
    run: staged(async (stage) => {
      const space = await stage.open()
      await space.send([letterOf('a'), letterOf('b')])
      const [a, b] = await space.dead.list({ limit: 10 })
      assert.equal(await space.dead.redrive(a!.id, toTask('q', 'again', a!.body)), true)
      const consumer = stage.consume(space)
      assert.deepEqual(
        (await stage.collect(consumer, 1)).map(({ id, body }) => [id, text(body)]),
        [['again', 'a']],
      )
      assert.deepEqual(
        (await space.dead.list({ limit: 10 })).map(({ id }) => id),
        [b!.id],
        'a redriven letter is still there',
      )
      assert.equal(await space.dead.redrive(a!.id, toTask('q', 'twice')), false, 'it was redriven twice')
      assert.equal(await space.dead.redrive('no such letter', toTask('q', 'nothing')), false)
      assert.deepEqual(await stage.surprises(consumer), [], 'a send was made for a letter that is not there')
    }),
  },
  {
    name: 'drops a dead letter',
    promise: 'dead letters',
    because: 'some of them nobody wants',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      await here.send(['a', 'b', 'c'].map((name) => letterOf(name)))
      const letters = await here.dead.list({ limit: 10 })
      assert.equal(await there.dead.drop(letters[1]!.id), true)
      assert.equal(await there.dead.drop(letters[1]!.id), false, 'it was dropped twice')
      assert.equal(await there.dead.drop('no such letter'), false)
      assert.equal(await here.dead.get(letters[1]!.id), undefined)
      assert.deepEqual((await here.dead.list({ limit: 10 })).map(({ info }) => info.message).sort(), ['a', 'c'])
    }),
  },
]
