import assert from 'node:assert/strict'
import type { Bytes, Send } from '@tasks/core'
import type { ConformanceCase } from '../case'
import { staged } from '../case'
import { bytes, oddBodies, sameBytes, text } from '../content'

function reply(address: string, body: Bytes): Send {
  return { target: { to: 'reply', address }, id: 'reply', body }
}

export const broadcasts: readonly ConformanceCase[] = [
  {
    name: 'brings replies to their address, and to no other',
    promise: 'broadcasts',
    because: 'a result goes to the client that asked',
    run: staged(async (stage) => {
      const [here, there, client] = [await stage.open(), await stage.open(), await stage.open()]
      const heard: Record<'a' | 'b' | 'c', string[]> = { a: [], b: [], c: [] }
      const a = await here.replies((body) => void heard.a.push(text(body)!))
      const b = await here.replies((body) => void heard.b.push(text(body)!))
      const c = await there.replies((body) => void heard.c.push(text(body)!))
      assert.equal(new Set([a.address, b.address, c.address]).size, 3, 'two addresses are equal')
      // A reply may be lost: it is sent until it comes.
      await stage.eventually(async () => {
        await client.send([reply(a.address, bytes('for a')), reply(c.address, bytes('for c'))])
        await stage.pause(10)
        assert.ok(heard.a.length > 0 && heard.c.length > 0, 'replies do not come')
      })
      await stage.quiet()
      assert.deepEqual(
        [new Set(heard.a), new Set(heard.b), new Set(heard.c)],
        [new Set(['for a']), new Set(), new Set(['for c'])],
      )
    }),
  },
  {
    name: 'brings replies byte for byte',
    promise: 'broadcasts',
    because: 'they carry results',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      for (const [i, body] of oddBodies.entries()) {
        const heard: Bytes[] = []
        const { address, close } = await here.replies((got) => void heard.push(got))
        await stage.eventually(async () => {
          await there.send([reply(address, body)])
          await stage.pause(5)
          assert.ok(heard.length > 0, `body ${i} did not come`)
        })
        for (const got of heard) sameBytes(got, body, `reply ${i}`)
        await close()
      }
    }),
  },
  {
    name: 'brings no reply to an address that was closed',
    promise: 'broadcasts',
    because: 'nobody is there to hear it, and the sender is not to blame',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      let heard = 0
      const { address, close } = await here.replies(() => void heard++)
      await stage.eventually(async () => {
        await there.send([reply(address, bytes('x'))])
        await stage.pause(10)
        assert.ok(heard > 0)
      })
      await stage.quiet()
      await close()
      const before = heard
      const outcomes = await there.send([
        reply(address, bytes('late')),
        { target: { to: 'task', queue: 'q' }, id: 't', body: bytes('t') },
      ])
      assert.equal(outcomes[1]!.ok, true, 'a reply to nobody failed its neighbour')
      await stage.quiet()
      assert.equal(heard, before, 'a closed address heard a reply')
      await stage.collect(stage.consume(here), 1)
    }),
  },
  {
    name: 'brings signals to every process, this one included',
    promise: 'broadcasts',
    because: 'whichever worker runs a cancelled task has to hear of it',
    run: staged(async (stage) => {
      const [here, there] = [await stage.open(), await stage.open()]
      const heard: Bytes[][] = [[], [], []]
      here.onSignal((body) => void heard[0]!.push(body))
      here.onSignal((body) => void heard[1]!.push(body))
      there.onSignal((body) => void heard[2]!.push(body))
      await stage.eventually(async () => {
        await here.signal(oddBodies[4]!)
        await stage.pause(10)
        assert.ok(
          heard.every((bodies) => bodies.length > 0),
          `heard ${heard.map((bodies) => bodies.length).join(', ')} times`,
        )
      })
      for (const body of heard.flat()) sameBytes(body, oddBodies[4]!, 'the signal')
    }),
  },
  {
    name: 'brings no signal to those who have stopped listening',
    promise: 'broadcasts',
    because: 'a closed worker must not act',
    run: staged(async (stage) => {
      const space = await stage.open()
      let [stopped, other] = [0, 0]
      const stop = space.onSignal(() => void stopped++)
      space.onSignal(() => void other++)
      const heard = async (): Promise<void> => {
        const before = other
        await stage.eventually(async () => {
          await space.signal(bytes('x'))
          await stage.pause(5)
          assert.ok(other > before)
        })
        await stage.quiet()
      }
      await heard()
      assert.ok(stopped > 0)
      stop()
      stop()
      const before = stopped
      await heard()
      assert.equal(stopped, before)
    }),
  },
]
