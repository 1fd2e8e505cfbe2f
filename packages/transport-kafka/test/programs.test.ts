import { playOnReal } from '@tasks/simulation/real'
import { expect, test } from 'vitest'
import { kafkaTransport } from '../src/index'
import { newNamespace, sharedBroker } from './support/server'

const PROGRAMS = process.env['TASKS_TIER'] === 'all' ? 500 : 20
const SEED = Number(process.env['TASKS_SEED'] ?? Date.now() % 1_000_000)

test(`${PROGRAMS} random pipelines of the simulation come to what they must`, async (ctx) => {
  console.log(`TASKS_SEED=${SEED}`)
  // Its namespaces are told from others' by their prefix.
  const url = `${sharedBroker(ctx).url}?prefix=${newNamespace()}`
  const broken = await playOnReal({ connect: () => kafkaTransport({ url }), seed: SEED, programs: PROGRAMS })
  expect(broken).toEqual([])
}, 300_000)
