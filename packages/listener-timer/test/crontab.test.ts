import { CronExpressionParser } from 'cron-parser'
import { describe, expect, test } from 'vitest'
import { crontab } from '../src/index'

/** The next ticks, as UTC to the minute. */
function ticks(expression: string, after: string, count: number, timeZone = 'UTC'): string[] {
  const table = crontab(expression, { timeZone })
  const found: string[] = []
  for (let at = new Date(after); found.length < count; found.push(at.toISOString().slice(0, 16))) at = table.next(at)
  return found
}

describe('a crontab', () => {
  test.each([
    ['*/20 * * * *', ['2026-01-01T00:20', '2026-01-01T00:40', '2026-01-01T01:00']],
    ['5-20/10 3,4 * * *', ['2026-01-01T03:05', '2026-01-01T03:15', '2026-01-01T04:05']],
    ['0 9 * jan-MAR mon-fri', ['2026-01-01T09:00', '2026-01-02T09:00', '2026-01-05T09:00']],
    ['0 0 29 2 *', ['2028-02-29T00:00', '2032-02-29T00:00', '2036-02-29T00:00']],
    ['0 0 31 * *', ['2026-01-31T00:00', '2026-03-31T00:00', '2026-05-31T00:00']],
    // Sunday is 0, and 7.
    ['0 0 * * 0', ['2026-01-04T00:00', '2026-01-11T00:00', '2026-01-18T00:00']],
    ['0 0 * * 7', ['2026-01-04T00:00', '2026-01-11T00:00', '2026-01-18T00:00']],
    ['0 0 * * 5-7', ['2026-01-02T00:00', '2026-01-03T00:00', '2026-01-04T00:00']],
    // Both days: either will do, as Vixie's cron has it.
    ['0 0 10 * sat', ['2026-01-03T00:00', '2026-01-10T00:00', '2026-01-17T00:00']],
    ['0 0 13 * fri', ['2026-01-02T00:00', '2026-01-09T00:00', '2026-01-13T00:00']],
    // Unless one of them begins with a star: then both must fit.
    ['0 0 */2 * mon', ['2026-01-05T00:00', '2026-01-19T00:00', '2026-02-09T00:00']],
    ['0 0 1-7 * */3', ['2026-01-03T00:00', '2026-01-04T00:00', '2026-01-07T00:00']],
  ])('%s', (expression, expected) => {
    expect(ticks(expression, '2026-01-01T00:00:00Z', 3)).toEqual(expected)
  })

  test.each([
    ['* * * *', /five fields/],
    ['* * * * * *', /five fields/],
    ['', /five fields/],
    ['@daily', /five fields/],
    ['61 * * * *', /crontab "61/],
    ['* 24 * * *', /crontab/],
    ['* * 0 * *', /crontab/],
    ['* * * 13 *', /crontab/],
    ['* * * * 8', /crontab/],
    ['* * L * *', /"L" is no list/],
    ['* * * * 5#2', /"5#2" is no list/],
    ['* * ? * *', /"\?" is no list/],
    ['*/0 * * * *', /crontab/],
    ['30-10 * * * *', /crontab/],
    ['* * * foo *', /crontab/],
    ['1, * * * *', /"1," is no list/],
    ['0 0 30 2 *', /no such day/],
  ])('that is none is refused: %s', (expression, message) => {
    expect(() => crontab(expression)).toThrow(message)
    expect(() => crontab(expression)).toThrow(expect.objectContaining({ code: 'TASKS_ARGUMENTS' }))
  })

  test('is of a time zone that there is', () => {
    expect(ticks('0 9 * * *', '2026-01-01T00:00:00Z', 1, 'Asia/Kathmandu')).toEqual(['2026-01-01T03:15'])
    expect(() => crontab('* * * * *', { timeZone: 'Mars/Olympus' })).toThrow(/no time zone "Mars\/Olympus"/)
  })

  test('knows the last tick that is over', () => {
    const table = crontab('0 9 * * *')
    const last = (after: string, now: string) => table.last(new Date(after), new Date(now))?.toISOString()
    expect(last('2026-01-01T09:00Z', '2026-01-05T12:00Z')).toBe('2026-01-05T09:00:00.000Z')
    expect(last('2026-01-01T09:00Z', '2026-01-02T09:00Z')).toBe('2026-01-02T09:00:00.000Z')
    expect(last('2026-01-01T09:00Z', '2026-01-02T08:59Z')).toBeUndefined()
    expect(last('2026-01-03T09:00Z', '2026-01-02T09:00Z')).toBeUndefined()
  })
})

describe('when the clocks change', () => {
  // What a day has none of comes at once behind the gap; what it has twice comes the first time. What is said for every hour goes on with the hours that there are.
  test.each([
    // Berlin: 02:00 becomes 03:00, at 01:00 UTC.
    ['Europe/Berlin', '30 2 * * *', '2026-03-28T00:00Z', ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30']],
    ['Europe/Berlin', '0 * * * *', '2026-03-28T23:30Z', ['2026-03-29T00:00', '2026-03-29T01:00', '2026-03-29T02:00']],
    ['Europe/Berlin', '0 3 * * *', '2026-03-28T00:00Z', ['2026-03-28T02:00', '2026-03-29T01:00', '2026-03-30T01:00']],
    // 03:00 becomes 02:00, at 01:00 UTC.
    ['Europe/Berlin', '30 2 * * *', '2026-10-24T00:00Z', ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30']],
    [
      'Europe/Berlin',
      '*/30 * * * *',
      '2026-10-24T23:30Z',
      ['2026-10-25T00:00', '2026-10-25T00:30', '2026-10-25T01:00', '2026-10-25T01:30', '2026-10-25T02:00'],
    ],
    ['Europe/Berlin', '0 3 * * *', '2026-10-24T00:00Z', ['2026-10-24T01:00', '2026-10-25T02:00', '2026-10-26T02:00']],
    // A list and a range are times, as one value is.
    [
      'Europe/Berlin',
      '30 2,14 * * *',
      '2026-03-28T12:45Z',
      ['2026-03-28T13:30', '2026-03-29T01:00', '2026-03-29T12:30'],
    ],
    [
      'Europe/Berlin',
      '30 2-3 * * *',
      '2026-10-24T12:00Z',
      ['2026-10-25T00:30', '2026-10-25T02:30', '2026-10-26T01:30', '2026-10-26T02:30'],
    ],
    // New York: at 07:00 UTC in March, at 06:00 in November.
    ['America/New_York', '30 2 * * *', '2026-03-07T12:00Z', ['2026-03-08T07:00', '2026-03-09T06:30']],
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00Z', ['2026-11-01T05:30', '2026-11-02T06:30']],
    // Half an hour, on Lord Howe.
    ['Australia/Lord_Howe', '15 2 * * *', '2026-10-02T20:00Z', ['2026-10-03T15:30', '2026-10-04T15:15']],
    ['Australia/Lord_Howe', '45 1 * * *', '2026-04-03T20:00Z', ['2026-04-04T14:45', '2026-04-05T15:15']],
  ])('%s, %s', (timeZone, expression, after, expected) => {
    expect(ticks(expression, after, expected.length, timeZone)).toEqual(expected)
  })

  test('no tick comes twice, and none comes before the one before it', () => {
    for (const [timeZone, from] of [
      ['Europe/Berlin', '2026-03-28T12:00Z'],
      ['Europe/Berlin', '2026-10-24T12:00Z'],
      ['America/New_York', '2026-03-07T12:00Z'],
      ['America/New_York', '2026-10-31T12:00Z'],
    ] as const) {
      for (const expression of ['*/7 * * * *', '0 */2 * * *', '10,50 1-3 * * *', '59 1 * * *', '0 2 * * sun']) {
        const found = ticks(expression, from, 40, timeZone)
        expect(found).toEqual([...new Set(found)].sort())
      }
    }
  })
})

test('agrees with another library on some hundred crontabs', () => {
  // xorshift: the same ones each time.
  let state = 42
  const below = (n: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % n
  }
  const one = (low: number, high: number): number => low + below(high - low + 1)
  const part = (low: number, high: number): string => {
    const [a, b] = [one(low, high), one(low, high)].sort((x, y) => x - y) as [number, number]
    return [`${a}`, `${a}-${b}`, `${a}-${b}/${one(1, 7)}`, `*/${one(1, 7)}`, '*'][below(5)]!
  }
  // A list of single values, each once: the other library wants it so.
  const list = (low: number, high: number): string =>
    [...new Set(Array.from({ length: one(2, 4) }, () => one(low, high)))].join(',')
  const field = (low: number, high: number): string => [part, part, list][below(3)]!(low, high)
  // Away from the days on which clocks change: there each library has its own opinion, and ours is above.
  const zones = ['UTC', 'Asia/Kathmandu', 'Europe/Berlin', 'America/New_York', 'Pacific/Auckland']
  for (let tries = 0; tries < 350; tries++) {
    const [dayOfMonth, dayOfWeek] = [field(1, 28), field(0, 6)]
    // A star with a step, and the other day said as well: to the other library either will do. Ours is above.
    if (!`${dayOfMonth} ${dayOfWeek}`.split(' ').includes('*') && `${dayOfMonth}${dayOfWeek}`.includes('*')) continue
    const expression = [field(0, 59), field(0, 23), dayOfMonth, field(1, 12), dayOfWeek].join(' ')
    const timeZone = zones[below(zones.length)]!
    const after = new Date(Date.UTC(2026, below(12), one(1, 28), below(24), below(60), below(60)))
    const theirs = CronExpressionParser.parse(expression, { currentDate: after, tz: timeZone })
    for (let at = after, n = 0; n < 5; n++) {
      at = crontab(expression, { timeZone }).next(at)
      const expected = theirs.next().toDate()
      if (offsetOf(expected, timeZone) !== offsetOf(after, timeZone)) break
      expect([expression, timeZone, at.toISOString()]).toEqual([expression, timeZone, expected.toISOString()])
    }
  }
})

function offsetOf(time: Date, timeZone: string): string {
  return time.toLocaleString('en', { timeZone, timeZoneName: 'longOffset' }).replace(/.*GMT/, '')
}
