/** What some work took. CPU time hardly depends on what else the machine does, and counts every thread; waiting for a disk is not in it. */
export interface Cost {
  readonly seconds: number
  readonly cpuSeconds: number
}

export const NO_COST: Cost = { seconds: 0, cpuSeconds: 0 }

export function costOf(work: () => void): Cost {
  const cost = startCounting()
  work()
  return cost()
}

export async function costOfAsync(work: () => Promise<unknown>): Promise<Cost> {
  const cost = startCounting()
  await work()
  return cost()
}

export function sumOf(a: Cost, b: Cost): Cost {
  return { seconds: a.seconds + b.seconds, cpuSeconds: a.cpuSeconds + b.cpuSeconds }
}

function startCounting(): () => Cost {
  const cpu = process.cpuUsage()
  const since = performance.now()
  return () => {
    const seconds = (performance.now() - since) / 1000
    const { user, system } = process.cpuUsage(cpu)
    return { seconds, cpuSeconds: (user + system) / 1e6 }
  }
}
