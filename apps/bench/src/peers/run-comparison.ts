// `npm run bench -- --peers redis`.
import { compile } from '../bundle'
import type { PeersCommandLine } from '../command-line'
import { describeThisMachine } from '../machine'
import { commandOf } from '../markdown'
import { compare } from './compare'
import { contenderNames as contenders } from './contenders'
import { renderPeersMarkdown, renderPeersTable } from './peers-table'
import { judge } from './verdicts'
import { peerVersions } from './versions'

/** Returns whether all checks passed. A bar that was missed fails nothing: figures are for people. */
export async function runComparison({
  contests,
  rounds,
  appendfsync,
  quick,
  json,
  putSection,
}: PeersCommandLine): Promise<boolean> {
  const bundle = await compile()
  try {
    const machine = describeThisMachine()
    const tell = (line: string): void => console.error(line)
    const { server, series } = await compare({ contests, contenders, rounds, appendfsync, quick, bundle, tell })
    const verdicts = series.map((each) => judge(each, contenders))
    const peers = peerVersions()
    const names = Object.entries(peers).map(([name, version]) => `${name} ${version}`)
    const settings = [
      `${server}; ${names.join(', ')}`,
      `medians of ${rounds} rounds, ratios turn by turn${quick ? '; quick: the figures mean nothing' : ''}`,
    ]
    const report = { machine, settings, contenders, verdicts }
    if (json) {
      const all = series.map(({ contest: { name }, rounds: samples }) => ({ contest: name, rounds: samples }))
      const given = { rounds, appendfsync, quick }
      console.log(JSON.stringify({ machine, server, peers, settings: given, verdicts, rounds: all }, undefined, 2))
    } else console.log(renderPeersTable(report))
    putSection?.([`\`${commandOf(process.argv.slice(2))}\`:`, '', ...renderPeersMarkdown(report)])
    return series.every(({ failures }) => failures.length === 0)
  } finally {
    bundle.remove()
  }
}
