// A report as a section of a page: between two comments, where the next run puts its own.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const END = '<!-- /bench -->'

export type PutSection = (lines: readonly string[]) => void

/**
 * Looks for the section before anything is measured; a page that is not there will be made.
 * @throws Error with a message for people, if the page has none
 */
export function openSection(page: string, name: string): PutSection {
  const begin = `<!-- bench:${name} -->`
  const find = (text: string): readonly [number, number] => {
    const from = text.indexOf(begin) + begin.length
    const to = text.indexOf(END, from)
    if (from < begin.length || to < 0) throw new Error(`${page} has no section between ${begin} and ${END}`)
    return [from, to]
  }
  const read = (): string => (existsSync(page) ? readFileSync(page, 'utf8') : `${begin}\n${END}\n`)
  find(read())
  return (lines) => {
    const text = read()
    const [from, to] = find(text)
    writeFileSync(page, `${text.slice(0, from)}\n${lines.join('\n')}\n${text.slice(to)}`)
  }
}

/** The first column is text, the others are figures. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|---|${'---:|'.repeat(head.length - 1)}`, ...rows.map(line)]
}

/** The command that is running, without where its report goes. */
export function commandOf(args: readonly string[]): string {
  const at = args.indexOf('--markdown')
  const rest = args.filter((arg, index) => !arg.startsWith('--markdown') && (at < 0 || index !== at + 1))
  return ['npm run bench', ...(rest.length === 0 ? [] : ['--', ...rest])].join(' ')
}
