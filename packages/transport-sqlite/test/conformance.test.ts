import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { conformanceCases, quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { sqliteTransport } from '../src/index'
import { faultyTransports } from './support/faulty-driver'

const folder = mkdtempSync(join(tmpdir(), 'tasks-sqlite-'))
const path = join(folder, 'tasks.db')
const { create, crash, stall, faults } = faultyTransports({ path })

describeTransport(
  'sqlite',
  {
    name: 'sqlite',
    capabilities: sqliteTransport({ path }).capabilities,
    create,
    reader: true,
    retention: true,
    crash,
    stall,
    faults,
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  },
  // Every lane mode belongs to the long tier.
  { cases: process.env['TASKS_TIER'] === 'all' ? conformanceCases : quickCases },
)
