// Vitest's own JUnit reporter drops the reason of a skip and errors outside of tests. This one keeps both.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * @param {string} file
 * @returns {import('vitest/reporters').Reporter}
 */
export function junitReporter(file) {
  return {
    onTestRunEnd(modules, unhandledErrors) {
      const suites = modules.map((module) => renderModule(module))
      if (unhandledErrors.length > 0) suites.push(renderErrors('errors outside of tests', unhandledErrors))
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`)
    },
  }
}

/** @param {import('vitest/node').TestModule} module */
function renderModule(module) {
  const cases = [...module.children.allTests()].map((test) => renderTest(test))
  // A file that does not load and a hook that throws fail no test of their own.
  for (const error of module.errors()) cases.push(renderFailure(module.relativeModuleId, [error]))
  for (const suite of module.children.allSuites()) {
    for (const error of suite.errors()) cases.push(renderFailure(suite.fullName, [error]))
  }
  const seconds = (module.diagnostic().duration / 1000).toFixed(3)
  return `<testsuite name="${xml(module.relativeModuleId)}" tests="${cases.length}" time="${seconds}">\n${cases.join('')}</testsuite>\n`
}

/** @param {import('vitest/node').TestCase} test */
function renderTest(test) {
  const result = test.result()
  if (result.state === 'failed') return renderFailure(test.fullName, result.errors)
  // Pending after the end: the worker died, or the run was cancelled.
  if (result.state === 'pending') return renderFailure(test.fullName, [{ message: 'did not finish' }])
  const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(3)
  const open = `<testcase classname="${xml(test.module.relativeModuleId)}" name="${xml(test.fullName)}" time="${seconds}"`
  return result.state === 'skipped'
    ? `${open}><skipped message="${xml(result.note ?? '')}"/></testcase>\n`
    : `${open}/>\n`
}

/**
 * @param {string} name
 * @param {readonly { message: string, stack?: string }[]} errors
 */
function renderFailure(name, errors) {
  const failures = errors.map((e) => `<failure message="${xml(e.message)}">${xml(e.stack ?? '')}</failure>`)
  return `<testcase name="${xml(name)}">${failures.join('')}</testcase>\n`
}

/**
 * @param {string} name
 * @param {readonly { message: string, stack?: string }[]} errors
 */
function renderErrors(name, errors) {
  return `<testsuite name="${xml(name)}" tests="1">\n${renderFailure(name, errors)}</testsuite>\n`
}

const ESCAPES = /** @type {Record<string, string>} */ ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' })

// Not allowed in XML 1.0, not even escaped.
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

/** @param {string} text */
function xml(text) {
  return text.replace(CONTROLS, '\ufffd').replace(/[<>&"]/g, (character) => ESCAPES[character] ?? character)
}
