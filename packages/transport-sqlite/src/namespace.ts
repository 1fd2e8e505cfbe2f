// What a namespace is called inside the file: numbers instead of names, so that rows and indexes stay small.
import { TaskError } from '@tasks/core/adapter'
import type { Group, Write } from './group-commit'

export const DEFAULT_PARTITIONS = 16
const MAX_PARTITIONS = 1024

export class Namespace {
  readonly id: number
  readonly name: string
  readonly partitions: number
  readonly #firstSlot: number
  readonly #group: Group
  readonly #queues = new Map<string, number>()
  readonly #queueNames = new Map<number, string>()

  constructor(group: Group, id: number, name: string, partitions: number, firstSlot: number) {
    this.#group = group
    this.id = id
    this.name = name
    this.partitions = partitions
    this.#firstSlot = firstSlot
  }

  /** The partition's number in the whole file. */
  slot(partition: number): number {
    if (!this.has(partition)) throw this.noSuchPartition(partition)
    return this.#firstSlot + partition
  }

  has(partition: number): boolean {
    return Number.isInteger(partition) && partition >= 0 && partition < this.partitions
  }

  noSuchPartition(partition: number): TaskError {
    return new TaskError(
      'TASKS_ARGUMENTS',
      `namespace "${this.name}" has partitions 0 to ${this.partitions - 1}, not ${partition}`,
    )
  }

  /** Makes the queue known if it is not. */
  queue(write: Write, name: string): number {
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    write.run('INSERT INTO queue VALUES (NULL, ?, ?) ON CONFLICT DO NOTHING', this.id, name)
    const { id } = write.get(QUEUE, this.id, name) as { readonly id: number }
    this.#remember(name, id)
    write.undo(() => {
      this.#queues.delete(name)
      this.#queueNames.delete(id)
    })
    return id
  }

  findQueue(name: string): number | undefined {
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    const found = this.#group.get(QUEUE, this.id, name) as { readonly id: number } | undefined
    if (found) this.#remember(name, found.id)
    return found?.id
  }

  queueName(id: number): string {
    return this.#queueNames.get(id)!
  }

  #remember(name: string, id: number): void {
    this.#queues.set(name, id)
    this.#queueNames.set(id, name)
  }
}

const QUEUE = 'SELECT id FROM queue WHERE namespace = ? AND name = ?'

export async function openNamespace(
  group: Group,
  now: number,
  {
    namespace: name,
    partitions,
    provision,
  }: { namespace: string; partitions?: number; provision?: 'create' | 'verify' },
): Promise<Namespace> {
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS)) {
    throw new TaskError(
      'TASKS_OPTIONS',
      `partitions must be a whole number from 1 to ${MAX_PARTITIONS}, not ${partitions}`,
    )
  }
  let found = group.get(FIND, name)
  if (!found && provision === 'verify') {
    throw new TaskError('TASKS_NOT_FOUND', `there is no namespace "${name}", and it is not to be created`)
  }
  found ??= await group.write((write) => {
    const there = write.get(FIND, name)
    return there ?? create(write, name, partitions ?? DEFAULT_PARTITIONS, now)
  })
  const stored = found['partitions'] as number
  if (partitions !== undefined && partitions !== stored) {
    throw new TaskError(
      'TASKS_PARTITIONS_MISMATCH',
      `namespace "${name}" has ${stored} partitions, not ${partitions}; the number is fixed when it is created`,
      {
        details: { stored, asked: partitions },
      },
    )
  }
  return new Namespace(group, found['id'] as number, name, stored, found['first'] as number)
}

const FIND = `
SELECT id, partitions, (SELECT slot FROM partition WHERE namespace = id AND number = 0) AS first FROM namespace WHERE name = ?`

function create(write: Write, name: string, partitions: number, now: number): ReturnType<Write['get']> & object {
  write.run('INSERT INTO namespace VALUES (NULL, ?, ?, ?)', name, partitions, now)
  const { id } = write.get('SELECT id FROM namespace WHERE name = ?', name) as { readonly id: number }
  for (let number = 0; number < partitions; number++) {
    write.run("INSERT INTO partition VALUES (NULL, ?, ?, 0, '', 0, 0, 0, NULL, 0)", id, number)
  }
  return write.get(FIND, name)!
}
