// The report for people.
import type { Machine } from './machine'
import { tableOf } from './markdown'
import type { Share } from './profiler'
import type { Series } from './schedule'
import type { Row, Summary } from './summary'
import type { Unit } from './figures'

const NAME_WIDTH = 50
const CELL_WIDTH = 34

export function renderTable(machine: Machine, settings: string, summaries: readonly Summary[]): string {
  const transports = transportsOf(summaries)
  const lines = [describeMachine(machine), settings]
  for (const transport of transports) lines.push(...describeTransport(transport, summaries))
  const head = transports.map((transport) => transport.padStart(16).padEnd(CELL_WIDTH))
  lines.push('', ' '.repeat(NAME_WIDTH) + head.join('').trimEnd())
  for (const { workload, title, rows, failures } of blocksOf(summaries)) {
    lines.push('', `${workload}: ${title}`)
    for (const { name, cells } of rows) {
      const texts = cells.map((cell) => renderCell(cell).padEnd(CELL_WIDTH))
      lines.push(`  ${name}`.padEnd(NAME_WIDTH) + texts.join('').trimEnd())
    }
    lines.push(...failures.map((failure) => `  ${failure}`))
  }
  return lines.join('\n')
}

export function renderMarkdown(machine: Machine, settings: string, summaries: readonly Summary[]): readonly string[] {
  const transports = transportsOf(summaries)
  const lines = [describeMachine(machine), settings].map((line) => `- ${line}`)
  for (const transport of transports) {
    const [server, ...floors] = describeTransport(transport, summaries).map((line) => line.trim())
    lines.push(`- ${server}`, ...floors.map((floor) => `  - ${floor}`))
  }
  for (const { workload, title, rows, failures } of blocksOf(summaries)) {
    const table = rows.map(({ name, cells }) => [name, ...cells.map((cell) => renderCell(cell).trim())])
    lines.push('', `**${workload}**: ${title}`, '', ...tableOf(['', ...transports], table))
    lines.push(...failures.flatMap((failure) => ['', failure]))
  }
  return lines
}

const transportsOf = (summaries: readonly Summary[]): readonly string[] => [
  ...new Set(summaries.map(({ transport }) => transport)),
]

interface Block {
  readonly workload: string
  readonly title: string
  /** With a cell for each transport. */
  readonly rows: readonly { readonly name: string; readonly cells: readonly (Row | undefined)[] }[]
  readonly failures: readonly string[]
}

/** What one workload came to, everywhere. */
function blocksOf(summaries: readonly Summary[]): readonly Block[] {
  const transports = transportsOf(summaries)
  return [...new Set(summaries.map(({ workload }) => workload))].map((workload) => {
    const here = summaries.filter((summary) => summary.workload === workload)
    const byTransport = transports.map((transport) => here.find((summary) => summary.transport === transport)!)
    const names = new Set(byTransport.flatMap(({ rows }) => rows.map(({ name }) => name)))
    const rows = [...names].map((name) => ({
      name,
      cells: byTransport.map((summary) => summary.rows.find((row) => row.name === name)),
    }))
    const failures = byTransport.flatMap((summary) =>
      summary.failures.map((failure) => `FAILED on ${summary.transport} ${oneLineOf(failure)}`),
    )
    return { workload, title: here[0]!.title, rows, failures }
  })
}

/** An assertion says over several lines what it expected; where it stood is in the progress. */
export function oneLineOf(failure: string): string {
  return failure
    .split(/\n\s+at /, 1)[0]!
    .replace(/\s+/g, ' ')
    .slice(0, 200)
}

export function describeMachine({ cpu, cores, load, node, platform, commit, versions }: Machine): string {
  const ours = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `${cpu}, ${cores} cores (load ${load.toFixed(1)} before), ${platform}, Node ${node}, ${ours.join(', ')}${commit === undefined ? '' : ` at ${commit}`}`
}

function describeTransport(transport: string, summaries: readonly Summary[]): string[] {
  const here = summaries.filter((summary) => summary.transport === transport && summary.server !== undefined)
  if (here.length === 0) return [`${transport}  ran nothing`]
  const floors = new Map(here.flatMap((summary) => Object.entries(summary.floors)))
  return [
    `${transport}  ${here[0]!.server}, durability ${here[0]!.durability}`,
    ...[...floors].map(([of, title]) => `${' '.repeat(transport.length)}  floor of ${of}: ${title}`),
  ]
}

function renderCell(row: Row | undefined): string {
  if (row === undefined) return ''
  const value = formatValue(row.median, row.unit).padStart(16)
  if (row.aim === undefined) return value
  const aim = `aim at most ${formatValue(row.aim.most, row.unit)}`
  return `${value}  ${row.aim.reached ? 'ok,' : 'MISSED,'} ${aim}`
}

export function formatValue(value: number, unit: Unit): string {
  const digits =
    Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3
  const text = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return unit === '' ? text : `${text} ${unit}`
}

export function renderProfiles(series: readonly Series[]): string {
  const lines: string[] = []
  for (const { workload, transport, rounds } of series) {
    const profile = rounds[0]?.profile
    if (profile === undefined) continue
    lines.push(
      '',
      `${workload.name} on ${transport} ${profile.busySeconds.toFixed(1)} s of the main thread (waiting for the disk included), by function`,
    )
    lines.push(...profile.functions.map(renderShare), '  by file', ...profile.files.map(renderShare))
    lines.push('  by function, with what it called', ...profile.inclusive.map(renderShare))
  }
  return lines.join('\n')
}

const renderShare = ({ where, share }: Share): string => `  ${(share * 100).toFixed(1).padStart(5)} %  ${where}`
