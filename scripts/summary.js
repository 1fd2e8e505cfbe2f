// The sum over the reports of all suites. A suite cannot fail unseen: not without a report, not with an empty one, not by its exit code alone.

/** @typedef {import('./suites.js').Suite} Suite */
/** @typedef {import('./junit.js').Report} Report */

/**
 * @typedef {object} Outcome
 * @property {Suite} suite
 * @property {number} code
 * @property {string} took
 * @property {number} [stoppedAfter]  minutes, if it had to be
 */

/**
 * @param {readonly Outcome[]} outcomes
 * @param {(suite: Suite) => Report | undefined} reportOf
 * @returns {{ lines: string[], passed: number, failed: number }} what is printed; the last line is the sum
 */
export function summarize(outcomes, reportOf) {
  const suites = outcomes.map((outcome) => ({ ...outcome, report: reportOf(outcome.suite) }))
  const lines = []
  const failures = []
  const skips = []
  let passed = 0
  for (const { suite, report, took, ...how } of suites) {
    const found = failuresOf(report, how).map((failure) => `${suite.name}: ${failure}`)
    const skipped = report?.skips ?? []
    passed += report?.passed ?? 0
    failures.push(...found)
    for (const { name, reason } of skipped)
      skips.push(`skipped  ${suite.name}: ${name}`, `         because ${reason || 'nobody said why'}`)
    const note = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
    const count = String(report?.passed ?? 0).padStart(5)
    lines.push(`${suite.name.padEnd(28)} ${count} passed, ${found.length} failed${note}, ${took}`)
  }
  lines.push(...skips, ...failures.map((failure) => `failed   ${failure}`))
  lines.push(`${passed} passed, ${failures.length} failed`)
  return { lines, passed, failed: failures.length }
}

/** @param {Report | undefined} report @param {{ code: number, stoppedAfter?: number }} how @returns {string[]} */
function failuresOf(report, { code, stoppedAfter }) {
  const failures = report?.failures ?? []
  if (stoppedAfter !== undefined) return [...failures, `stopped after ${stoppedAfter} minutes`]
  if (report === undefined) return [`left no report (exit code ${code})`]
  if (report.passed + failures.length + report.skips.length === 0) return ['ran no test']
  return code !== 0 && failures.length === 0 ? [`exit code ${code}, though no test failed`] : failures
}
