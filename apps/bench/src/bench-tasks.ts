// The tasks that every workload is made of. Each counts its runs; each result can be foretold.
import { createTasks, inParallel, type Pipeline, type Task } from '@tasks/core'
import { Tally } from './tally'

export type BenchTasks = ReturnType<typeof bindBenchTasks>

export const resultOf = (index: number): number => 2 * index + 1

/** @param label what its probes answer with */
export function bindBenchTasks(namespace: string, label = 'bench') {
  const tasks = createTasks({ namespace })
  const ran = {
    noop: new Tally('noop'),
    step: new Tally('step'),
    split: new Tally('split'),
    collect: new Tally('collect'),
    probe: new Tally('probe'),
  }

  /** Does nothing with its number but return another. */
  const noop = tasks.bind('noop', (index: number) => {
    ran.noop.add(index)
    return resultOf(index)
  })
  const step = tasks.bind('step', (value: number) => {
    ran.step.add(value)
    return value + 1
  })
  /** Says which worker ran it. */
  const probe = tasks.bind('probe', (index: number) => {
    ran.probe.add(index)
    return label
  })
  /** How many results there are, and how many are not what their place says. */
  const collect = tasks.bind('collect', (results: number[]) => {
    ran.collect.add(0)
    let wrong = 0
    for (let i = 0; i < results.length; i++) if (results[i] !== resultOf(i)) wrong++
    return { count: results.length, wrong }
  })
  /** The first task of a 1-N-1. */
  const split = tasks.bind('split', (children: number) => {
    ran.split.add(0)
    return inParallel(Array.from({ length: children }, (_, i) => noop.send(i))).continueWith(collect)
  })
  /** The same with few chains in flight. */
  const splitBounded = tasks.bind('splitBounded', (children: number, maxParallelism: number) => {
    ran.split.add(0)
    const chains = Array.from({ length: children }, (_, i) => noop.send(i))
    return inParallel(chains, { maxParallelism }).continueWith(collect)
  })
  /** Calls itself by returning a pipeline, down to zero. */
  const countdown: Task<[left: number], number | Pipeline<number>> = tasks.bind('countdown', (left: number) => {
    ran.step.add(left)
    return left === 0 ? 0 : (countdown.send(left - 1) as Pipeline<number>)
  })
  /** A pipeline of `length` steps, one behind the other. */
  const chain = (length: number) => {
    let pipeline = step.send(0)
    for (let i = 1; i < length; i++) pipeline = pipeline.continueWith(step)
    return pipeline
  }
  return { tasks, ran, noop, step, probe, collect, split, splitBounded, countdown, chain }
}
