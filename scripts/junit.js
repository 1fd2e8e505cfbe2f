// Writing and summing the JUnit files of reports/.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './processes.js'

export const reportsFolder = join(root, 'reports')

/** @param {string} suite */
export function reportOf(suite) {
  return join(reportsFolder, `${suite}.xml`)
}

/** @typedef {{ name: string, seconds: number, failure?: string, skipped?: string }} Case */

/** @param {string} suite @param {readonly Case[]} cases */
export function formatJunit(suite, cases) {
  const lines = cases.map(({ name, seconds, failure, skipped }) => {
    const outcome =
      failure !== undefined
        ? `<failure message="${escape(failure)}"/>`
        : skipped !== undefined
          ? `<skipped message="${escape(skipped)}"/>`
          : ''
    return `<testcase classname="${suite}" name="${escape(name)}" time="${seconds.toFixed(3)}">${outcome}</testcase>\n`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite name="${suite}" tests="${cases.length}">\n${lines.join('')}</testsuite>\n</testsuites>\n`
}

/** @param {string} suite @param {readonly Case[]} cases */
export function writeJunit(suite, cases) {
  mkdirSync(reportsFolder, { recursive: true })
  writeFileSync(reportOf(suite), formatJunit(suite, cases))
}

// In an attribute a ">" may stand unescaped: node:test writes so.
const ATTRIBUTES = /((?:\s+[\w:-]+="[^"]*")*)\s*/
const TESTCASE = new RegExp(`<testcase\\b${ATTRIBUTES.source}(?:/>|>([^]*?)</testcase>)`, 'g')
const SKIPPED = new RegExp(`<skipped\\b${ATTRIBUTES.source}/?>`)

/** @typedef {{ passed: number, failures: string[], skips: { name: string, reason: string }[] }} Report */

/** @param {string} suite */
export function readJunit(suite) {
  return existsSync(reportOf(suite)) ? parseJunit(readFileSync(reportOf(suite), 'utf8')) : undefined
}

/**
 * What a suite's file says; undefined if it was cut off.
 *
 * @param {string} xml
 * @returns {Report | undefined}
 */
export function parseJunit(xml) {
  if (!xml.trimEnd().endsWith('</testsuites>')) return undefined
  const skips = []
  const failures = []
  let passed = 0
  for (const [, attributes = '', body = ''] of xml.matchAll(TESTCASE)) {
    const name = attribute(attributes, 'name')
    const skipped = body.match(SKIPPED)
    if (/<(failure|error)\b/.test(body)) failures.push(name)
    else if (skipped) skips.push({ name, reason: attribute(skipped[1] ?? '', 'message') })
    else passed++
  }
  return { passed, failures, skips }
}

/** @param {string} attributes @param {string} name */
function attribute(attributes, name) {
  return unescape(attributes.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1] ?? '')
}

/** @param {string} text */
function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** @param {string} text */
function unescape(text) {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
}
