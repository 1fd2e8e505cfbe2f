// What the clients of a scenario ask for, each as often as it takes until it is answered, and what they are told.
import { TaskError, type Client, type PipelineHandle, type SubmitOptions } from '@tasks/core'
import { sleep } from '@tasks/core/adapter'
import { eventOf, failedOf, interpret, plainOf } from '@tasks/oracle'
import { KEPT_MS } from './boxes'
import type { History } from './history'
import type { Author } from './pipelines'
import type { Process } from './process'
import type { Answer, CommandRecord, EventRecord, LonerRecord, SubmitRecord, Told } from './recording'
import { isKeptLoner, type EventSpec, type Scenario } from './scenario'

/** Of what is to be there until all is over. */
export const RETENTION_MS = 12 * 3_600_000
/** Who waits for longer than 15 s takes a submit that nobody knows of for one that is gone. */
export const LATEST_SUBMIT_MS = 10_000
/** Of who looks for pipelines that are paused, and resumes them. */
const KEEPER_MS = 4_000
/** Of who sends events again to runs that nobody could have known of. */
const CRIER_MS = 120_000

/** Who restarts what kills its owner before that can answer would begin a new run with each try: after so many it waits for the one that is there (seed 12409). */
const MOST_TRIES = 30

export class Requests {
  readonly submits: readonly SubmitRecord[]
  readonly loners: readonly LonerRecord[]
  readonly commands: readonly CommandRecord[]
  readonly events: readonly EventRecord[]
  readonly told = new Map<string, Told>()
  readonly #scenario: Scenario
  readonly #history: History

  constructor(scenario: Scenario, history: History) {
    this.#scenario = scenario
    this.#history = history
    this.submits = scenario.pipelines.flatMap((pipeline) =>
      pipeline.submits.map((submit) => ({
        pipeline,
        submit,
        tries: 0,
        attached: false,
        stored: false,
        answer: undefined,
      })),
    )
    this.loners = scenario.loners.map((loner) => ({
      loner,
      expected: interpret(loner.program),
      sent: false,
      answer: undefined,
    }))
    this.commands = (scenario.commands ?? []).map((spec) => ({ spec, answer: undefined }))
    this.events = (scenario.events ?? []).map((spec) => ({ spec, sent: 0 }))
  }

  /**
   * Submits until it is known to be submitted, and waits for the result. What it has begun in another life it submits again, with the same id; but what it was told
   * there is stored by owners that died with it, it only waits for.
   */
  async submit(process: Process, client: Client, author: Author, record: SubmitRecord, isNear: boolean): Promise<void> {
    const { pipeline, submit } = record
    const { atMs, program, onDuplicate, delayMs, drawn } = submit
    if (record.answer !== undefined) return
    await sleep(process.clock, atMs - process.clock.monotonic())
    // It may have been sent after all, and come late.
    if (record.stored) await sleep(process.clock, LATEST_SUBMIT_MS)
    const options = {
      ...(drawn ? {} : { id: pipeline.id }),
      retentionMs: pipeline.retentionMs ?? RETENTION_MS,
      ...(onDuplicate === undefined ? {} : { onDuplicate }),
      ...(delayMs === undefined ? {} : { delayMs }),
    }
    let isLast = submit.again !== true
    for (;;) {
      try {
        const run =
          record.stored || (onDuplicate === 'restart' && record.tries >= MOST_TRIES)
            ? this.#attach(process, client, record)
            : await this.#submitOnce(process, client, record, author.pipeline(program), options)
        record.stored ||= isNear
        let answer = await this.#result(process, () => run.result())
        for (let left = submit.retries ?? 0; left > 0 && 'failure' in answer; left--)
          answer = await this.#retry(process, client, record)
        if (isLast) {
          record.answer = answer
          break
        }
        isLast = true
        record.stored = false
        await sleep(process.clock, pipeline.retentionMs ?? 0)
      } catch (error) {
        if (!TaskError.is(error)) throw error
        this.#history.note(process.name, `could not submit ${pipeline.id}: ${error.message}`)
        if (error.code !== 'TASKS_UNAVAILABLE') {
          record.answer = { refused: error.code }
          break
        }
        await sleep(process.clock, 1_000)
      }
    }
    this.#history.note(process.name, `has for ${pipeline.id}: ${JSON.stringify(record.answer)}`)
  }

  async #submitOnce(
    process: Process,
    client: Client,
    record: SubmitRecord,
    program: ReturnType<Author['pipeline']>,
    options: SubmitOptions,
  ): Promise<PipelineHandle<unknown>> {
    const { id } = record.pipeline
    const { onDuplicate } = options
    this.#history.note(process.name, `submits ${id}${onDuplicate === undefined ? '' : ` or ${onDuplicate}s`}`)
    record.tries++
    if (options.id === undefined) process.draws(id)
    const run = await client.submit(program, options)
    this.#history.note(process.name, `has submitted ${id}`)
    return run
  }

  #attach(process: Process, client: Client, record: SubmitRecord): PipelineHandle<unknown> {
    const { id } = record.pipeline
    this.#history.note(process.name, `waits for ${id}, which it has submitted`)
    record.attached = true
    return client.attach(id)
  }

  /** Has it retried, if it is not so already, and waits for what that comes to. */
  async #retry(process: Process, client: Client, record: SubmitRecord): Promise<Answer> {
    const { id } = record.pipeline
    for (;;) {
      let run = client.attach(id)
      const code = await this.#give(process, id, async () => (run = await client.retry(id)))
      if (code === 'TASKS_NOT_FOUND') return { refused: code }
      if (code === 'TASKS_UNAVAILABLE') continue
      if (code !== 'obeyed') record.attached = true
      return this.#result(process, () => run.result())
    }
  }

  /** "obeyed", or the code of an error that a command may come to. */
  async #give(process: Process, id: string, command: () => Promise<unknown>): Promise<string> {
    const told = this.told.get(id) ?? { given: 0, obeyed: 0, refused: 0 }
    this.told.set(id, told)
    told.given++
    try {
      await command()
      told.obeyed++
      return 'obeyed'
    } catch (error) {
      if (!TaskError.is(error) || !COMMAND_ERRORS.has(error.code)) throw error
      this.#history.note(process.name, `is told: ${error.message}`)
      if (error.code === 'TASKS_STATUS') told.refused++
      return error.code
    }
  }

  async command(process: Process, client: Client, record: CommandRecord): Promise<void> {
    if (record.answer !== undefined) return
    const { id, atMs, command, graceMs } = record.spec
    await sleep(process.clock, atMs - process.clock.monotonic())
    this.#history.note(process.name, `gives ${command} to ${id}`)
    record.answer = await this.#give(process, id, () =>
      command === 'cancel' ? client.cancel(id, graceMs === undefined ? {} : { graceMs }) : client[command](id),
    )
    this.#history.note(process.name, `has for ${command} of ${id}: ${record.answer}`)
  }

  /** As often as it is to be sent; what may not have been stored does not count. */
  async sendEvent(process: Process, client: Client, record: EventRecord): Promise<void> {
    const { atMs, times, everyMs } = record.spec
    await sleep(process.clock, atMs - process.clock.monotonic())
    while (record.sent < times) {
      if (await this.#cryOnce(process, client, record.spec)) record.sent++
      await sleep(process.clock, everyMs)
    }
  }

  async #cryOnce(process: Process, client: Client, { id, key, number, pipelineId }: EventSpec): Promise<boolean> {
    this.#history.add(process.name, { what: 'event', to: pipelineId ?? '', key, number, id })
    const value = eventOf({ key, match: number })
    const to = pipelineId === undefined ? {} : { pipelineId }
    try {
      await client.sendEvent({ id, key, value, ...to, keepMs: KEPT_MS })
      return true
    } catch (error) {
      if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
      await sleep(process.clock, 1_000)
      return false
    }
  }

  /** A run that takes the place of another waits for events that the other has taken. */
  async cry(process: Process, client: Client): Promise<void> {
    for (let round = 1; ; round++) {
      await sleep(process.clock, CRIER_MS)
      for (const { spec } of this.events) {
        const again = { ...spec, id: `${spec.id}again${round}` }
        while (!(await this.#cryOnce(process, client, again)));
      }
    }
  }

  /** Somebody looks after what is paused. */
  async keep(process: Process, client: Client): Promise<void> {
    const look = async (id: string): Promise<void> => {
      const status = await client.status(id).catch(() => undefined)
      if (status?.status === 'PAUSED') await this.#give(process, id, () => client.resume(id))
    }
    for (;;) {
      await sleep(process.clock, KEEPER_MS)
      for (const { id } of this.#scenario.pipelines) await look(id)
    }
  }

  /** What cannot be reached now is asked for again. */
  async #result(process: Process, ask: () => Promise<unknown>): Promise<Answer> {
    for (;;) {
      const answer = await answerOf(ask())
      if (!('refused' in answer) || answer.refused !== 'TASKS_UNAVAILABLE') return answer
      await sleep(process.clock, 1_000)
    }
  }

  async enqueue(process: Process, client: Client, author: Author, record: LonerRecord): Promise<void> {
    const { program, atMs, delayMs } = record.loner
    await sleep(process.clock, atMs - process.clock.monotonic())
    const isKept = isKeptLoner(record.loner)
    const options = {
      ...(isKept ? { keepResult: true, retentionMs: RETENTION_MS } : {}),
      ...(delayMs === undefined ? {} : { delayMs }),
      // A reply is best effort: only when nothing goes wrong is it waited for.
      reply: this.#scenario.calm,
    }
    while (!record.sent || (isKept && record.answer === undefined)) {
      try {
        const task = await client.enqueue(author.pipeline(program), options)
        record.sent = true
        if (isKept || this.#scenario.calm) record.answer = await this.#result(process, () => task.result())
      } catch (error) {
        if (!TaskError.is(error) || error.code !== 'TASKS_UNAVAILABLE') throw error
        await sleep(process.clock, 1_000)
      }
    }
  }
}

async function answerOf(result: Promise<unknown>): Promise<Answer> {
  try {
    return { result: plainOf(await result) }
  } catch (error) {
    if (!TaskError.is(error)) throw error
    return REFUSALS.has(error.code) ? { refused: error.code } : { failure: failedOf(error) }
  }
}

const COMMAND_ERRORS = new Set(['TASKS_STATUS', 'TASKS_NOT_FOUND', 'TASKS_UNAVAILABLE'])

const REFUSALS = new Set([
  'TASKS_CANCELLED',
  'TASKS_ID_CONFLICT',
  'TASKS_ID_EXISTS',
  'TASKS_NOT_FOUND',
  'TASKS_UNAVAILABLE',
])
