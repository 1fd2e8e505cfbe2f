// Reading a stream to an end that does not come.
import { systemClock } from '@tasks/core/adapter'
import { expect, onTestFinished, test } from 'vitest'
import { withOptions } from '../src/client'
import { Connection } from '../src/connection'
import { JetStream } from '../src/jetstream'
import { readAll } from '../src/reader'
import { newServer } from './support/server'

test('whoever reads on to a message that is not there hears of it, although the server says that it lives', async (ctx) => {
  const { port } = await newServer(ctx)
  const patienceMs = 2_500
  const client = withOptions({ servers: `127.0.0.1:${port}` }, undefined)
  const connection = await Connection.open({ ...client, clock: systemClock, patienceMs, silenceMs: patienceMs })
  onTestFinished(() => connection.close())
  const jetstream = new JetStream(connection)
  await jetstream.createStream({ name: 's', subjects: ['s'] })
  await jetstream.store('s', Buffer.from('the only one'))
  const read: string[] = []
  const reading = readAll(
    { jetstream, clock: systemClock, stream: 's', filter: 's', from: 1, limit: Infinity, isEndKnown: true, patienceMs },
    (messages) => {
      for (const { data } of messages) read.push(Buffer.from(data).toString())
    },
  )
  await expect(reading).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  expect(read).toEqual(['the only one'])
}, 30_000)
