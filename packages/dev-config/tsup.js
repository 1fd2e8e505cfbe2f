/** @satisfies {import('tsup').Options} */
export const library = {
  format: /** @type {('esm' | 'cjs')[]} */ (['esm', 'cjs']),
  target: 'node20',
  // The packages below are read as they were built, not from their sources again.
  dts: { compilerOptions: { customConditions: [] } },
  sourcemap: true,
  clean: true,
  treeshake: true,
  // CJS too: otherwise each entry has its own TaskError, and instanceof fails between them.
  splitting: true,
  // Keeps "node:test" and "node:sqlite", which have no other name.
  removeNodeProtocol: false,
}

/** For packages that are ESM only. @satisfies {import('tsup').Options} */
export const esmLibrary = { ...library, format: /** @type {'esm'[]} */ (['esm']) }
