// What `npm test` says in the end, of suites that ran well, badly, or not at all.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatJunit, parseJunit } from '../junit.js'
import { summarize } from '../summary.js'

/** @typedef {import('../junit.js').Case} Case */

/**
 * @param {Record<string, readonly Case[] | undefined>} reports
 * @param {Partial<import('../summary.js').Outcome>} [how]
 */
function summaryOf(reports, how = {}) {
  const outcomes = Object.keys(reports).map((name) => ({
    suite: { name, runner: /** @type {const} */ ('vitest'), files: [] },
    code: 0,
    took: '1.0 s',
    ...how,
  }))
  return summarize(outcomes, ({ name }) => {
    const cases = reports[name]
    return cases && parseJunit(formatJunit(name, cases))
  })
}

const ok = { name: 'is well', seconds: 1 }
const bad = { name: 'a < b & "c"', seconds: 1, failure: "it's > 1" }

void test('the last line is the sum of all reports', () => {
  const { lines, failed } = summaryOf({ first: [ok, ok], second: [ok] })
  assert.equal(lines.at(-1), '3 passed, 0 failed')
  assert.equal(failed, 0)
  assert.match(lines[0] ?? '', /^first +2 passed, 0 failed, 1\.0 s$/)
})

void test('failures are named above it, skips with their reasons above these', () => {
  const { lines, failed } = summaryOf(
    {
      first: [ok, bad],
      second: [
        { ...ok, skipped: 'no "server" here' },
        { ...ok, skipped: '' },
      ],
    },
    { code: 1 },
  )
  assert.deepEqual(lines.slice(2), [
    'skipped  second: is well',
    '         because no "server" here',
    'skipped  second: is well',
    '         because nobody said why',
    'failed   first: a < b & "c"',
    'failed   second: exit code 1, though no test failed',
    '1 passed, 2 failed',
  ])
  assert.equal(failed, 2)
})

for (const [what, reports, how, failure] of /** @type {const} */ ([
  ['left no report', { suite: undefined }, { code: 0 }, 'suite: left no report (exit code 0)'],
  ['left an empty report', { suite: [] }, { code: 0 }, 'suite: ran no test'],
  ['was stopped', { suite: [ok] }, { code: 1, stoppedAfter: 8 }, 'suite: stopped after 8 minutes'],
  ['ended badly', { suite: [ok] }, { code: 3 }, 'suite: exit code 3, though no test failed'],
])) {
  void test(`a suite that ${what} has failed`, () => {
    const { lines, failed } = summaryOf(reports, how)
    assert.equal(failed, 1)
    assert.equal(lines.at(-2), `failed   ${failure}`)
  })
}

void test('a report that was cut off is none', () => {
  assert.equal(parseJunit(formatJunit('suite', [ok]).slice(0, -20)), undefined)
})

void test('the report of node:test is read as that of vitest', () => {
  const report = parseJunit(`<?xml version="1.0" encoding="utf-8"?>
<testsuites>
\t<testcase name="a > b" time="0.1" classname="test"/>
\t<testcase name="later" time="0.1" classname="test">
\t\t<skipped type="skipped" message="why"/>
\t</testcase>
\t<testcase name="bad" time="0.1" classname="test" failure="x">
\t\t<failure type="testCodeFailure" message="x">[Error]</failure>
\t</testcase>
</testsuites>
`)
  assert.deepEqual(report, { passed: 1, failures: ['bad'], skips: [{ name: 'later', reason: 'why' }] })
})
