// Compiles snippets against the sources, to look at what the compiler says to a user.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const here = dirname(fileURLToPath(import.meta.url))
const config = ts.readConfigFile(join(here, '../../../../tsconfig.base.json'), (file) => ts.sys.readFile(file))
const { options } = ts.convertCompilerOptionsFromJson(
  (config.config as { compilerOptions: object }).compilerOptions,
  join(here, '../..'),
)
const host = ts.createCompilerHost(options)
// Parsed once: the library is most of the work.
const parsed = new Map<string, ts.SourceFile | undefined>()

export interface Compiled {
  /** The first line of each error, in order. */
  readonly errors: readonly string[]
  /** How many types the compiler made. */
  readonly instantiations: number
}

/** Compiles one module, which imports from `../src/…`. */
export function compile(text: string): Compiled {
  const file = join(here, '../snippet.ts')
  const program = ts.createProgram({
    rootNames: [file],
    options,
    host: {
      ...host,
      fileExists: (name) => name === file || host.fileExists(name),
      readFile: (name) => (name === file ? text : host.readFile(name)),
      getSourceFile(name, version) {
        if (name === file) return ts.createSourceFile(name, text, version)
        if (!parsed.has(name)) parsed.set(name, host.getSourceFile(name, version))
        return parsed.get(name)
      },
    },
  })
  const source = program.getSourceFile(file)
  const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
  return {
    errors: diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n').split('\n')[0]!),
    instantiations: program.getInstantiationCount(),
  }
}
