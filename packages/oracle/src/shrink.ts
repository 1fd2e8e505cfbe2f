// Simpler programs, to look for the simplest that still shows a failure.
import { isEnd, isWhole, type EachUnit, type GroupUnit, type Program, type TaskUnit, type Unit } from './program'

/** Programs that are one step simpler; the boldest steps first. */
export function* simplerPrograms(program: Program): Generator<Program> {
  for (const simpler of stepsFrom(program)) if (isWhole(simpler)) yield simpler
}

function* stepsFrom(program: Program): Generator<Program> {
  if (program.length > 1) {
    yield program.slice(0, program.length >> 1)
    yield program.slice(program.length >> 1)
    for (let at = 0; at < program.length; at++) yield [...program.slice(0, at), ...program.slice(at + 1)]
  }
  for (const [at, unit] of program.entries())
    for (const units of simplerUnits(unit)) yield [...program.slice(0, at), ...units, ...program.slice(at + 1)]
}

function* simplerUnits(unit: Unit): Generator<readonly Unit[]> {
  if (unit.kind === 'begin') {
    const { kind, ...said } = unit
    for (const name of ['args', 'state', 'inline'] as const)
      if (name in said) yield [{ kind, ...said, [name]: undefined }].map(withoutUndefined)
    return
  }
  const { pauses, when, ...plain } = unit
  if (when === true || pauses !== undefined) yield [plain]
  switch (unit.kind) {
    case 'task':
      return yield* simplerTasks(unit)
    case 'group':
      return yield* simplerGroups(unit)
    case 'each':
      return yield* simplerEach(unit)
    case 'sleep':
      if (unit.ms > 0) yield [{ ...unit, ms: 0 }]
      return
    case 'wait':
      if (unit.timeoutMs !== undefined && unit.timeoutMs > 0) yield [{ ...unit, timeoutMs: 0 }]
      return
    case 'listen': {
      const { fails, ...good } = unit
      if (fails !== undefined) yield [good]
      if (unit.afterMs > 1) yield [{ ...unit, afterMs: 1 }]
    }
  }
}

const withoutUndefined = <T extends object>(unit: T): T =>
  Object.fromEntries(Object.entries(unit).filter(([, value]) => value !== undefined)) as T

function* simplerEach(each: EachUnit): Generator<readonly Unit[]> {
  const { maxParallelism, unordered, ...rest } = each
  yield each.chain
  if (maxParallelism !== undefined || unordered !== undefined) yield [rest]
  for (const chain of simplerPrograms(each.chain)) yield [{ ...each, chain }]
}

function* simplerTasks(task: TaskUnit): Generator<readonly Unit[]> {
  const { returns, retries, queue, priority, sets, tells, heals, pure, ...plain } = task
  if (returns !== undefined) {
    yield [plain]
    // What is said of a whole pipeline cannot stand in the middle of another.
    yield returns.filter((unit) => unit.kind !== 'begin' && !isEnd(unit))
    for (const simpler of simplerPrograms(returns)) yield [{ ...task, returns: simpler }]
  }
  if (task.fails > 0) yield [{ ...task, fails: 0 }]
  if (task.fails > 1) yield [{ ...task, fails: 1 }]
  if (task.gives !== 'one') yield [{ ...task, gives: 'one' }]
  if (task.how !== 'throws') yield [{ ...task, how: 'throws' }]
  if (task.ms > 0) yield [{ ...task, ms: 0 }]
  const given = { returns, retries, queue, priority, sets, tells, heals, pure }
  const less = (leftOut: readonly (keyof typeof given)[]): TaskUnit =>
    withoutUndefined({
      ...plain,
      ...given,
      ...Object.fromEntries(leftOut.map((name) => [name, undefined])),
    } as TaskUnit)
  for (const names of [['retries'], ['queue', 'priority'], ['sets'], ['tells'], ['heals'], ['pure']] as const)
    if (names.some((name) => given[name] !== undefined)) yield [less(names)]
  if (task.policy === 'bound') yield [{ ...task, policy: 'used' }]
}

function* simplerGroups(group: GroupUnit): Generator<readonly Unit[]> {
  const { chains, maxParallelism, unordered, ...rest } = group
  for (const chain of chains) yield chain
  if (chains.length > 3) {
    yield [{ ...group, chains: chains.slice(0, chains.length >> 1) }]
    yield [{ ...group, chains: chains.slice(chains.length >> 1) }]
  }
  for (let at = 0; at < chains.length; at++)
    yield [{ ...group, chains: [...chains.slice(0, at), ...chains.slice(at + 1)] }]
  if (maxParallelism !== undefined || unordered !== undefined) yield [{ ...rest, chains }]
  for (const [at, chain] of chains.entries())
    for (const simpler of simplerPrograms(chain))
      yield [{ ...group, chains: [...chains.slice(0, at), simpler, ...chains.slice(at + 1)] }]
}
