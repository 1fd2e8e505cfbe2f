import type { Arena, Spent } from '../arena'
import type { Contender, LoneTasks } from '../contender'

/** Tasks are added, then a worker comes and runs them. The time of the run is that from its first task on. */
export async function measureLoneTasks(
  arena: Arena,
  contender: Contender,
  tasks: LoneTasks,
): Promise<{ readonly added: Spent; readonly run: Spent; readonly bytes: number }> {
  const { noop } = contender.ran
  const empty = await arena.meter.usedBytes()
  const added = await arena.costOf(() => contender.enqueue(tasks))
  const bytes = (await arena.meter.usedBytes()) - empty
  const started = noop.reaches(1).then(() => arena.startCounting())
  let run: Spent | undefined
  await arena.withWorker(contender, async () => {
    const stop = await started
    await noop.reaches(tasks.count)
    run = await stop()
  })
  noop.checkAndReset(tasks.count)
  return { added, run: run!, bytes }
}
