import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { workloads } from '../src/catalogue'
import { parseCommandLine } from '../src/command-line'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

function bench(...args: string[]) {
  const node = ['--import', 'tsx', '--conditions=@tasks/source', main, ...args]
  return spawnSync(process.execPath, node, { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' })
}

test('by default every workload runs five rounds in memory and on SQLite', () => {
  const parsed = parseCommandLine([])
  expect(parsed).toMatchObject({ transports: ['memory:', 'sqlite:'], rounds: 5, lane: 'local', workloads })
})

test('options that make no sense are refused with what would', () => {
  expect(() => parseCommandLine(['--only', 'chain,nothing'])).toThrow(/no workload "nothing"; known: .*fan-out/)
  expect(() => parseCommandLine(['--rounds', '0'])).toThrow('not "0"')
  expect(() => parseCommandLine(['--lane', 'fast'])).toThrow('local or queue')
})

test('--peers compares with other engines, and takes only what means something then', () => {
  const parsed = parseCommandLine(['--peers', 'redis', '--only', 'chain', '--appendfsync', 'always'])
  expect(parsed).toMatchObject({ peers: 'redis', contests: [{ name: 'chain' }], rounds: 5, appendfsync: 'always' })
  expect(() => parseCommandLine(['--peers', 'kafka'])).toThrow('not "kafka"')
  expect(() => parseCommandLine(['--peers', 'redis', '--transport', 'memory:'])).toThrow('--transport')
  expect(() => parseCommandLine(['--peers', 'redis', '--only', 'fan-out-large'])).toThrow(/known: .*pipelines/)
  expect(() => parseCommandLine(['--appendfsync', 'no'])).toThrow('--peers')
})

test('a workload that fails makes the command fail', () => {
  const { status, stdout } = bench('--quick', '--only', 'chain', '--transport', 'nowhere:')
  expect(stdout).toContain('FAILED on nowhere:')
  expect(status).toBe(1)
})

test('--json prints one document, with the machine, the settings and each round', () => {
  const { status, stdout, stderr } = bench('--quick', '--only', 'chain', '--transport', 'memory:', '--json')
  const report = JSON.parse(stdout)
  expect(report).toMatchObject({
    machine: { node: process.versions.node },
    settings: { lane: 'local', quick: true },
    summaries: [{ workload: 'chain', transport: 'memory:', durability: 'none', rounds: 1, failures: [] }],
  })
  expect(stderr).toContain('round 1/1')
  expect(status).toBe(0)
})
