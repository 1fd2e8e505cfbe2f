import { expect, test } from 'vitest'
import type { Client } from '../src/client/client'
import type { DeadLetterView } from '../src/client/dead-letter-box'
import { eventually, NAMESPACE, system } from './support/system'

const large = 'x'.repeat(200_000)

async function onlyLetter(client: Client): Promise<DeadLetterView> {
  const [letter] = await eventually(async () => {
    const letters = await client.deadLetters.list()
    expect(letters.length).toBe(1)
    return letters
  })
  expect(letter!.args).toBeUndefined()
  return client.deadLetters.get(letter!.id)
}

test.each([
  ['small', [1, { two: new Date(2) }]],
  ['large', [large, 2]],
])('a dead letter has the arguments of its task: %s', async (_, args) => {
  const { tasks, worker, client } = system()
  const fail = tasks.bind('fail', (first: unknown, second: unknown): number => {
    throw new Error(`of ${typeof first} and ${typeof second}`)
  })
  await worker()
  const submitter = client()
  await submitter.enqueue(fail.send(args[0], args[1]))
  expect((await onlyLetter(submitter)).args).toEqual(args)
})

test('a dead letter whose arguments cannot be read is shown without them', async () => {
  const { tasks, worker, client, connect } = system()
  const fail = tasks.bind('fail', (_: unknown): number => {
    throw new Error('no')
  })
  await worker()
  const submitter = client()
  await submitter.enqueue(fail, large)
  await eventually(async () => expect((await submitter.deadLetters.list()).length).toBe(1))
  const space = await connect().open({ namespace: NAMESPACE })
  await space.blobs.drop('')
  expect(await onlyLetter(submitter)).toMatchObject({ reason: 'failed', args: undefined })
})
