// `npm run bench`.
import { mkdirSync } from 'node:fs'
import { compile } from './bundle'
import { workloads } from './catalogue'
import { HELP, parseCommandLine, type CommandLine, type PeersCommandLine } from './command-line'
import { describeThisMachine } from './machine'
import { commandOf } from './markdown'
import { startOwnServers } from './own-servers'
import { contests } from './peers/contests'
import { runComparison } from './peers/run-comparison'
import { runRounds } from './schedule'
import { summarize } from './summary'
import { renderMarkdown, renderProfiles, renderTable } from './table'

const listOf = (all: readonly { readonly name: string; readonly title: string }[]): string =>
  all.map(({ name, title }) => `${name.padEnd(20)} ${title}`).join('\n')

function readCommandLine(): CommandLine | PeersCommandLine | undefined {
  try {
    const parsed = parseCommandLine(process.argv.slice(2))
    if (typeof parsed === 'object') return parsed
    console.log(parsed === 'help' ? HELP : listOf(parsed === 'list' ? workloads : contests))
  } catch (error) {
    console.error(`bench: ${(error as Error).message}; --help says more`)
    process.exitCode = 2
  }
  return undefined
}

async function runBench(commandLine: CommandLine): Promise<void> {
  if (commandLine.profile !== undefined) mkdirSync(commandLine.profile, { recursive: true })
  const servers = await startOwnServers(commandLine.transports)
  const bundle = await compile()
  try {
    const machine = describeThisMachine()
    const { urlOf } = servers
    const series = await runRounds({ ...commandLine, urlOf, bundle, tell: (line) => console.error(line) })
    const { rounds, lane, quick, json } = commandLine
    const summaries = series.map(summarize)
    const settings = `lane ${lane}, medians of ${rounds} rounds${quick ? '; quick: the figures mean nothing' : ''}`
    if (json)
      console.log(JSON.stringify({ machine, settings: { rounds, lane, quick }, summaries, series }, undefined, 2))
    else if (commandLine.profile !== undefined) console.log(renderProfiles(series))
    else console.log(renderTable(machine, settings, summaries))
    const command = `\`${commandOf(process.argv.slice(2))}\`:`
    commandLine.putSection?.([command, '', ...renderMarkdown(machine, settings, summaries)])
    if (series.some(({ failures }) => failures.length > 0)) process.exitCode = 1
  } finally {
    bundle.remove()
    await servers.stop()
  }
}

const commandLine = readCommandLine()
if (commandLine?.peers !== undefined) process.exitCode = (await runComparison(commandLine)) ? 0 : 1
else if (commandLine !== undefined) await runBench(commandLine)
