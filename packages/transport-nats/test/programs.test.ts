import { playOnReal } from '@tasks/simulation/real'
import { expect, test } from 'vitest'
import { natsTransport } from '../src/index'
import { newServer, VERSION } from './support/server'

const IS_LONG = process.env['TASKS_TIER'] === 'all'
const PROGRAMS = !IS_LONG ? 20 : VERSION === undefined ? 500 : 100
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)

/** So little that most values are read again from the journal. */
const ROW_BYTES = 2_000

test(`${PROGRAMS} random pipelines of the simulation come to what they must`, async (ctx) => {
  console.log(`TASKS_SEED=${SEED}`)
  const { url } = await newServer(ctx)
  const broken = await playOnReal({
    connect: () => natsTransport({ url, rowBytes: ROW_BYTES }),
    seed: SEED,
    programs: PROGRAMS,
  })
  expect(broken).toEqual([])
}, 300_000)
