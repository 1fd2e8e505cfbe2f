// Simpler programs, to look for the simplest that still shows a failure.
import type { EachUnit, GroupUnit, Program, TaskUnit, Unit } from './program'

/** Programs that are one step simpler; the boldest steps first. */
export function* simplerPrograms(program: Program): Generator<Program> {
  for (const simpler of stepsFrom(program)) if (isWhole(simpler)) yield simpler
}

/** Something has to come before what handles it or ends it. */
function isWhole([first]: Program): boolean {
  return first !== undefined && (first.kind !== 'task' || first.role === undefined)
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

function simplerUnits(unit: Unit): Iterable<readonly Unit[]> {
  switch (unit.kind) {
    case 'task':
      return simplerTasks(unit)
    case 'group':
      return simplerGroups(unit)
    case 'each':
      return simplerEach(unit)
    case 'sleep':
      return unit.ms > 0 ? [[{ kind: 'sleep', ms: 0 }]] : []
  }
}

function* simplerEach(each: EachUnit): Generator<readonly Unit[]> {
  const { maxParallelism, ...rest } = each
  yield each.chain
  if (maxParallelism !== undefined) yield [rest]
  for (const chain of simplerPrograms(each.chain)) yield [{ ...each, chain }]
}

function* simplerTasks(task: TaskUnit): Generator<readonly Unit[]> {
  const { returns, retries, queue, priority, ...plain } = task
  if (returns !== undefined) {
    yield [plain]
    // What ends a returned pipeline cannot stand in the middle of another.
    yield returns.filter((unit) => unit.kind !== 'task' || unit.role !== 'finally')
    for (const simpler of simplerPrograms(returns)) yield [{ ...task, returns: simpler }]
  }
  if (task.fails > 0) yield [{ ...task, fails: 0 }]
  if (task.fails > 1) yield [{ ...task, fails: 1 }]
  if (task.gives !== 'one') yield [{ ...task, gives: 'one' }]
  if (task.how !== 'throws') yield [{ ...task, how: 'throws' }]
  if (task.ms > 0) yield [{ ...task, ms: 0 }]
  if (retries !== undefined || queue !== undefined || priority !== undefined || task.policy === 'bound') {
    yield [{ ...plain, ...(returns === undefined ? {} : { returns }), policy: 'used' }]
    if (queue !== undefined || priority !== undefined)
      yield [{ ...plain, ...(returns && { returns }), ...(retries && { retries }) }]
  }
}

function* simplerGroups(group: GroupUnit): Generator<readonly Unit[]> {
  const { chains, maxParallelism, ...rest } = group
  for (const chain of chains) yield chain
  if (chains.length > 3) {
    yield [{ ...group, chains: chains.slice(0, chains.length >> 1) }]
    yield [{ ...group, chains: chains.slice(chains.length >> 1) }]
  }
  for (let at = 0; at < chains.length; at++)
    yield [{ ...group, chains: [...chains.slice(0, at), ...chains.slice(at + 1)] }]
  if (maxParallelism !== undefined) yield [{ ...rest, chains }]
  for (const [at, chain] of chains.entries())
    for (const simpler of simplerPrograms(chain))
      yield [{ ...group, chains: [...chains.slice(0, at), simpler, ...chains.slice(at + 1)] }]
}
