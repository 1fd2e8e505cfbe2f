import { startWorker, TaskError } from '@tasks/core'
import type { Command } from 'commander'
import { showDuration } from '../duration'
import { Project, showTransport, type WorkerFlags } from '../project'
import type { Terminal } from '../terminal'

const ROLES = ['owner', 'worker'] as const

export function addWorker(program: Command, terminal: Terminal): void {
  program
    .command('worker')
    .description(
      'run the tasks of a module until SIGINT or SIGTERM; running tasks are waited for, a second signal exits at once',
    )
    .argument('[module]', 'the module that exports the registry, as "tasks" or by default; .ts too')
    .option('-c, --concurrency <number>', 'most tasks at a time (default: 10)')
    .option('-q, --queues <names>', 'queues to serve, with commas (default: those of the tasks)')
    .option('--lease-ms <number>', 'how long a silent process keeps its tasks (default: 10000)')
    .option('--drain-ms <number>', 'how long running tasks are waited for (default: 10000)')
    .option('--role <role>', 'only "owner" (moves pipelines on) or only "worker" (runs tasks); default: both')
    .action(async (module: string | undefined, _, command: Command) => {
      const flags = command.optsWithGlobals<WorkerFlags & { role?: string }>()
      await runWorker(terminal, { ...flags, ...(module === undefined ? {} : { module }) })
    })
}

async function runWorker(terminal: Terminal, flags: WorkerFlags & { readonly role?: string }): Promise<void> {
  const role = ROLES.find((known) => known === flags.role)
  if (flags.role !== undefined && role === undefined)
    throw new TaskError('TASKS_OPTIONS', `--role must be owner or worker, not "${flags.role}"`)
  const project = await Project.load(flags)
  const { tasks } = await project.requireModule()
  await project.namespace()
  const { settings } = project.config
  const connection = await project.connect('create')
  const since = performance.now()
  try {
    const worker = await startWorker({
      tasks,
      transport: connection.transport,
      concurrency: settings.concurrency.value,
      leaseMs: settings.leaseMs.value,
      drainMs: settings.drainMs.value,
      maxDeliveries: settings.maxDeliveries.value,
      unknownTaskGraceMs: settings.unknownTaskGraceMs.value,
      events: settings.events.value,
      workerEvents: settings.workerEvents.value,
      durableWorkerEvents: settings.durableWorkerEvents.value,
      logger: project.logger(),
      ...project.codec(),
      handleSignals: true,
      ...(settings.queues.value === undefined ? {} : { queues: settings.queues.value }),
      ...(role === undefined ? {} : { roles: [role] }),
    })
    const facts = {
      namespace: worker.namespace,
      transport: showTransport(settings.transport.value!),
      tasks: tasks.names(),
      queues: settings.queues.value ?? tasks.queues(),
      concurrency: settings.concurrency.value,
    }
    terminal.note(
      `worker of "${facts.namespace}" on ${facts.transport}: ${facts.tasks.join(', ')} (queues ${facts.queues.join(', ')}; at most ${facts.concurrency} at a time). Ctrl-C ends it.`,
    )
    await worker.closed
    const ranMs = Math.round(performance.now() - since)
    terminal.answer({ ...facts, ranMs }, '')
    terminal.note(`worker closed after ${showDuration(ranMs)}`)
  } finally {
    await connection.close()
  }
}
