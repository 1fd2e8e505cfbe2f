// Mistakes made on purpose, each the breach of a rule whose other side is a failure: the simulator must find every one of them within its number of seeds.
// `file` is below core's src; the text must be there exactly once. Whoever changes such a line changes its mutant with it.

export interface Mutant {
  readonly name: string
  readonly changes: readonly Change[]
  /** It must be found within so many seeds. */
  readonly within: number
}

export interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function mutant(name: string, within: number, file: string, from: string, to: string, ...more: Change[]): Mutant {
  return { name, within, changes: [{ file, from, to }, ...more] }
}

export const mutants: readonly Mutant[] = [
  // ---- Ownership
  mutant(
    'no fence: commits of owners that were relieved go through',
    300,
    'memory/partition.ts',
    'if (this.session !== session)\n',
    'if (session === undefined)\n',
    { file: 'memory/partition.ts', from: 'if (commit.seq !== this.seq + 1) {', to: 'if (commit.seq < 0) {' },
  ),
  mutant(
    'the position is not part of the commit',
    300,
    'engine/owner.ts',
    '...(position === undefined ? {} : { through: position }),',
    '',
  ),
  mutant(
    'timers are lost at restore',
    300,
    'engine/owner.ts',
    'await this.#timers.restore(this.#scan)',
    'await Promise.resolve()',
  ),
  mutant(
    'long work is lost at restore',
    300,
    'engine/owner.ts',
    'for await (const [key, row] of this.#rows<JobRow>(JOBS)) this.#jobs.start(key, row)',
    '',
  ),
  mutant(
    'dispatch windows are lost at restore',
    300,
    'engine/owner.ts',
    'await this.#watch.adopt(windows)',
    'await Promise.resolve(windows)',
  ),
  mutant(
    'what an earlier owner had in its own process is not sent again',
    300,
    'engine/window-watch.ts',
    "if (item.lane === 'local' && lane?.isRunning(entry) !== true) lost.set(entry, row)",
    '',
    {
      file: 'engine/window-watch.ts',
      from: 'lost.push({ lane: item.lane, ...entry })',
      to: "if (item.lane !== 'local') lost.push({ lane: item.lane, ...entry })",
    },
  ),
  mutant(
    'a window is never sent again',
    3_000,
    'engine/window-watch.ts',
    "await say({ type: 'resend', items: lost }, lost.length)",
    '',
  ),
  mutant(
    'what waits in a queue is sent again: no look at the backlog',
    1_000,
    'engine/window-watch.ts',
    'if (age !== undefined && age + leaseMs >= clock.monotonic() - sentAt) return true',
    '',
  ),
  mutant(
    'what a worker reports as running is sent again',
    1_000,
    'engine/window-watch.ts',
    'lane?.isRunning(entry) || windows.reportedSince(entry, since)',
    'lane?.isRunning(entry)',
  ),
  mutant(
    'what this process runs is sent again',
    1_000,
    'engine/window-watch.ts',
    'lane?.isRunning(entry) || windows.reportedSince(entry, since)',
    'windows.reportedSince(entry, since)',
  ),
  mutant(
    'the time of a partition goes back',
    300,
    'engine/partition-clock.ts',
    'return Math.max(now, expected)',
    'return now',
  ),
  mutant(
    'a clock that jumps ahead is believed',
    3_000,
    'engine/partition-clock.ts',
    'if (this.#trusted && now > expected + MOST_JUMP_MS) {',
    'if (this.#trusted && now < 0) {',
  ),

  // ---- Identity
  mutant(
    'no dedupe of submits: one that comes again is a new one',
    1_000,
    'engine/submit.ts',
    'if (firstRun(existing.row.run) === message.run) return answer(draft, existing, message)',
    '',
  ),
  mutant(
    'a restart that comes again restarts again, after another',
    3_000,
    'engine/queries.ts',
    'return row.earlier?.includes(firstRun(run)) === true',
    'return row.id === run',
  ),
  mutant(
    'late outcomes of an earlier run are taken',
    1_000,
    'engine/reducer.ts',
    'if (run === undefined || run.row.run !== runId) return',
    'if (run === undefined || runId === undefined) return',
  ),
  mutant(
    'who was refused gets the outcome of another definition',
    3_000,
    'engine/queries.ts',
    'return hash === undefined || hash === row.hash ? undefined',
    'return hash !== null ? undefined',
  ),
  mutant(
    'a failure counts whatever attempt it is of',
    1_000,
    'engine/places.ts',
    "open.row.phase === 'sent' && open.row.attempt === attempt ? open",
    "open.row.phase === 'sent' ? open",
  ),
  mutant(
    'an outcome counts whatever entry its chain is at: a result is applied twice',
    300,
    'engine/places.ts',
    'row.hop !== place.hop || row.at !== place.index',
    'row.hop !== place.hop',
  ),
  mutant(
    'a tail call keeps its caller’s name',
    300,
    'engine/advance.ts',
    'const hop = isTail ? row.hop + 1 : 0',
    'const hop = isTail ? row.hop : 0',
  ),
  mutant(
    'blobs of a run are named after its pipeline alone',
    3_000,
    'engine/row-keys.ts',
    '`${escapeId(id)}/${firstRun(run)}/`',
    '`${escapeId(id)}/`',
  ),

  mutant('ids are not escaped in keys', 300, 'ids.ts', 'return TO_ESCAPE.test(id) ? ', "return id === '' ? "),
  mutant(
    'the second pipeline that a task returns takes the place of the first',
    1_000,
    'engine/places.ts',
    "phase !== 'sent' && phase !== 'waiting' && phase !== 'held'",
    "phase !== 'sent' && phase !== 'waiting' && phase !== 'held' && phase !== 'frame'",
  ),
  mutant(
    'a child created by the worker: a returned pipeline is submitted, too',
    300,
    'worker/runner.ts',
    'return { kind: Kind.pipeline, bytes: encodeDefinitionValue(await this.#patiently(running, pack)) }',
    `const packed = await this.#patiently(running, pack)
    const [child, childRun] = [id + running.message.path, run + running.message.path]
    const body = encodeInbox({ type: 'submit', id: child, run: childRun, options: {}, definition: packed })
    void space.send([{ target: { to: 'inbox', partition: partitionOf(child, space.partitions) }, id: childRun, body }])
    return { kind: Kind.pipeline, bytes: encodeDefinitionValue(packed) }`,
    {
      file: 'worker/runner.ts',
      from: "import { asBuffer } from '../record'",
      to: "import { asBuffer } from '../record'\nimport { partitionOf } from '../ids'\nimport { encodeInbox } from '../wire/inbox-message'",
    },
  ),

  mutant(
    'a row that is taken to be new is not looked for',
    1_000,
    'engine/owner.ts',
    '...(draft.assumed.size === 0 ? {} : { absent: [...draft.assumed] }),',
    '',
  ),

  // ---- Submits to an owner of the same process
  mutant(
    'a submit is told to be stored before its commit',
    1_000,
    'engine/owner.ts',
    'this.#arrivals.addSubmit(message, () => settle(true))',
    'this.#arrivals.addSubmit(message, () => undefined)\n      settle(true)',
  ),
  mutant(
    'a submit that no commit has taken is not sent',
    1_000,
    'client/client.ts',
    'if (taken === undefined || !(await taken))',
    'if (taken === undefined || !((await taken) || true))',
  ),
  mutant(
    'who submits to an owner that loses its partition never hears of it',
    1_000,
    'engine/owner.ts',
    'for (const settle of this.#submitting) settle(false)',
    '',
  ),

  // ---- Commands
  mutant(
    'a duplicated pause: a command that comes again is obeyed again',
    1_000,
    'engine/control.ts',
    'if (before === undefined) {',
    'if (commandId !== undefined) {',
  ),
  mutant(
    'what a worker reports goes on, though the pipeline is being cancelled',
    300,
    'engine/chains.ts',
    "return row.status === 'CANCELLING' && open.row.saved === undefined",
    'return row === open',
  ),
  mutant(
    'a cancel does not wait for what runs',
    6_000,
    'engine/cancel.ts',
    'if (row.out === 0) return startFinals(draft, run)',
    'if (row.out >= 0) return startFinals(draft, run)',
  ),
  mutant(
    'a cancelled pipeline does not run its finally',
    1_000,
    'engine/cancel.ts',
    'if (!startFinally(draft, run, ROOT)) end(',
    'if (run !== undefined) end(',
  ),
  mutant(
    'a cancelled pipeline does not run the finallys of those that were returned',
    3_000,
    'engine/cancel.ts',
    "  if (row.finals === 0) startRootFinally(draft, run)\n  else draft.startJob(run, { kind: 'finals', path: '' })",
    '  startRootFinally(draft, run)',
  ),
  mutant(
    'a paused pipeline goes on',
    300,
    'engine/advance.ts',
    "if (view.row.status === 'PAUSED' && !view.hasRun) {",
    "if (view.row.status === 'CANCELLED') {",
  ),
  mutant(
    'what was held is forgotten at resume',
    300,
    'engine/chains.ts',
    "if (open !== undefined && open.row.phase === 'held') proceed(draft, run, open, open.row)",
    'void open',
  ),
  mutant(
    'pauseAfter is not heard of',
    300,
    'engine/advance.ts',
    "if (pausesAfter(definition, entry)) changeStatus(draft, view, 'PAUSED')",
    'void definition',
  ),
  mutant(
    'a retry is the run of before',
    300,
    'engine/retried.ts',
    'row.run = nextRun(row.run)',
    'row.run = row.run.slice()',
  ),
  mutant(
    'a retry of a group starts chains that had ended well',
    1_000,
    'engine/retried.ts',
    'if (isFailure(value) && failed.length < most)',
    'if (failed.length < most)',
  ),
  mutant(
    'a group that is retried may be complete before all that failed is found',
    3_000,
    'engine/retried.ts',
    'group.edit()!.reopening = true',
    'group.edit()!.reopening = false',
  ),

  mutant(
    'a run whose retention has ended is taken away too early',
    300,
    'engine/finish.ts',
    'row.finishedAt + (row.lone ? TOMBSTONE_MS : row.retentionMs)',
    'row.finishedAt + (row.lone ? TOMBSTONE_MS : row.retentionMs / 2)',
  ),
  mutant(
    'a pipeline that is deleted leaves its rows',
    1_000,
    'engine/finish.ts',
    "draft.startJob(run, { kind: 'clean', path: '', whole: true, blobs: true })",
    "draft.startJob(run, { kind: 'clean', path: 'x', whole: true, blobs: true })",
  ),
  mutant(
    'a pipeline that goes on can be deleted',
    1_000,
    'engine/control.ts',
    "delete: { from: ['COMPLETED', 'FAILED', 'CANCELLED'], done: [] }",
    "delete: { from: ['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'], done: [] }",
  ),

  mutant(
    'what is being taken away has its id still',
    3_000,
    'engine/submit.ts',
    "if (existing.row.leaving || options.onDuplicate === 'restart')",
    "if (options.onDuplicate === 'restart')",
  ),

  // ---- Waiting for events
  mutant(
    'no dedupe of events: one that comes again is another',
    1_000,
    'engine/event-box.ts',
    'if (draft.get<SeenEvent>(keys.seen(eventId)) !== undefined) return',
    'draft.get<SeenEvent>(keys.seen(eventId))',
  ),
  mutant(
    'an event wakes one of those who wait',
    1_000,
    'engine/event-box.ts',
    "search(draft, address, event, forOne ? 'one' : 'all')",
    "search(draft, address, event, 'one')",
  ),
  mutant(
    'an event that nobody waits for is lost',
    300,
    'engine/event-box.ts',
    'else keep(box, event)\n}',
    'else draft.delete(keys.event(number))\n}',
  ),
  mutant(
    'an event that came before its waiter is not looked for',
    300,
    'engine/event-box.ts',
    'if (box.kept > 0) draft.put(',
    'if (box.kept > 1e9) draft.put(',
  ),
  mutant(
    'an event that was declined is not kept',
    3_000,
    'engine/event-box.ts',
    '  if (event.taken) {\n',
    '  if (event.taken || event.number > 0) {\n',
  ),
  mutant(
    'who came while others were asked is not asked',
    6_000,
    'engine/event-box.ts',
    'if ((event.forOne || box.lastWait > event.number) && box.waiting > 0)',
    'if (event.forOne && box.waiting > 0)',
  ),
  mutant(
    'what an event must have is not looked at',
    1_000,
    'engine/event-box.ts',
    'return match === undefined || Object',
    'return match !== null || Object',
  ),
  mutant(
    'an event is forgotten before its time',
    300,
    'engine/event-box.ts',
    'timerOf(address, draft.now + keepMs, keys.seenRow(eventId))',
    'timerOf(address, draft.now, keys.seenRow(eventId))',
  ),
  mutant(
    'an event is never forgotten',
    300,
    'engine/event-box.ts',
    '    event.taken = true\n    settle(draft, keys, box, event)\n  }\n  dropIfEmpty(draft, keys, box)\n}\n\n// ---- Events',
    '  }\n  dropIfEmpty(draft, keys, box)\n}\n\n// ---- Events',
  ),
  mutant(
    'who waits no longer than so long waits for ever',
    300,
    'engine/advance.ts',
    'if (dueAt > 0) draft.putTimer(',
    'if (dueAt < 0) draft.putTimer(',
  ),
  mutant(
    'who has waited for long enough is still asked',
    1_000,
    'engine/event-waits.ts',
    '  unwait(draft, mark)\n  endWait(',
    '  endWait(',
  ),
  mutant(
    'a run that is over is still asked',
    1_000,
    'engine/reducer.ts',
    'if (mark !== undefined) unwait(draft, mark)',
    'void mark',
  ),
  mutant(
    'who is being cancelled takes an event',
    3_000,
    'engine/event-waits.ts',
    "if (open === undefined || run.row.status === 'CANCELLING') return false",
    'if (open === undefined) return false',
  ),
  mutant(
    'who waits no longer, and comes only then, is taken for one who waits',
    6_000,
    'engine/event-box.ts',
    'if (remote && waiter === undefined) leaveTrace(',
    'if (remote && waiter !== undefined) leaveTrace(',
  ),

  // ---- What pipelines say
  mutant(
    'a pause is not told',
    1_000,
    'engine/emit.ts',
    '  if (!isTold(draft, run)) return\n  const error',
    "  if (!isTold(draft, run) || status === 'PAUSED') return\n  const error",
  ),
  mutant(
    'events are not numbered from commit to commit',
    300,
    'engine/emit.ts',
    'const sequence = ++row.events',
    'const sequence = row.events + 1',
  ),
  mutant(
    'what is tried again is not told to have failed',
    1_000,
    'engine/chains.ts',
    'emitFailed(draft, run, open, failure, due)\n',
    '',
  ),
  mutant(
    'a listener hears what comes again',
    1_000,
    'events/event-stream.ts',
    'if (!isWanted(event) || !this.#seen.see(event)) continue',
    'if (!isWanted(event)) continue',
  ),
  mutant(
    'a listener goes on behind what it could not read',
    1_000,
    'events/event-stream.ts',
    'this.#places = new Map(this.#places).set(partition, { after: page.position, skip: 0 })\n    if',
    'this.#places = new Map(this.#places).set(partition, { after: String(Number(page.position) + 1), skip: 0 })\n    if',
  ),

  mutant(
    'a member of a subscription is done with a page before it has handled it',
    3_000,
    'events/event-stream.ts',
    'const letGo = this.#hold(member, page)\n',
    'const letGo = this.#hold(member, page)\n      await this.#trying(() => member.settle(page))\n',
  ),
  mutant(
    'who joins a subscription begins where he says',
    1_000,
    'memory/events.ts',
    'const cursors = subscriptions.get(name) ?? from.map(',
    'const cursors = from.map(',
  ),

  // ---- What listeners wait for
  mutant(
    'what a listener was given is acknowledged before its commit',
    300,
    'event-listener.ts',
    'return listener.pollForEvent(...([...args, { signal }] as unknown as [...Args, PollOptions]))',
    'const event = await listener.pollForEvent(...([...args, { signal }] as unknown as [...Args, PollOptions]))\n    await listener.eventCheckpointed?.(event)\n    return event',
  ),
  mutant(
    'what a commit has is polled for once more',
    300,
    'event-listener.ts',
    'return polling.continueWith(checkpointTask) as Pipeline<Event>',
    'return polling.continueWith(pollTask.send(null, ...args)).continueWith(checkpointTask) as Pipeline<Event>',
  ),
  mutant(
    'an event that could not be acknowledged is forgotten',
    1_000,
    'event-listener.ts',
    'await listener.eventCheckpointed?.(event)\n    return event',
    'await (async () => listener.eventCheckpointed?.(event))().catch(() => undefined)\n    return event',
  ),
  mutant(
    'what follows does not wait until an event is acknowledged',
    300,
    'event-listener.ts',
    'await listener.eventCheckpointed?.(event)\n    return event',
    'void (async () => listener.eventCheckpointed?.(event))().catch(() => undefined)\n    return event',
  ),
  mutant(
    'who waits for no longer than so long polls for ever',
    300,
    'event-listener.ts',
    "Object.defineProperty(pollTask, 'deadlineOf', { value: deadlineOf })",
    "Object.defineProperty(pollTask, 'deadlineOf', { value: () => Infinity })",
  ),

  // ---- What workers say
  mutant(
    'nobody waits for what a worker says to be stored, though it is to be durable',
    300,
    'worker/runner.ts',
    'if (announcer?.durable === true) await announcer.stored()',
    '',
  ),
  mutant(
    'what a worker says, and may not be stored, is not said again',
    1_000,
    'worker/event-outbox.ts',
    'else again.push(batch)',
    'else this.#dropped += batch.events',
  ),
  mutant(
    'what a worker says overtakes what it has said before',
    3_000,
    'worker/event-outbox.ts',
    'for (const batches of rounds) await this.#send(batches)',
    'for (const batches of rounds) void this.#send(batches)',
  ),
  mutant(
    'a task that fails is said to have finished',
    300,
    'worker/announcer.ts',
    "this.#say('error-task', this.#timed() + traceOf(error))",
    "this.#say('finished', this.#timed())",
  ),
  mutant(
    'that a task waits is no part of the commit, though it is to be durable',
    300,
    'worker/announcer.ts',
    'return this.durable ? scheduled.map((entry) => this.#scheduled(entry)) : []',
    'return this.durable ? [] : []',
  ),

  // ---- Poison
  mutant(
    'what kills its process is delivered for ever',
    1_000,
    'worker/consumer.ts',
    'if (deliveries > maxDeliveries) {',
    'if (deliveries > 1e9) {',
  ),
  mutant(
    'suspects come together: who was beside one that kills goes with it',
    3_000,
    'worker/consumer.ts',
    'return this.#consumer.receive({ max, waitMs, suspects: this.#suspect === undefined, signal })',
    'return this.#consumer.receive({ max, waitMs, suspects: true, signal })',
  ),
  mutant(
    'a task that was given up does not fail its entry',
    1_000,
    'worker/consumer.ts',
    "if (run !== '') this.#outcomes.push({ id, run, path, attempt, value, verdict: { retryable: false } })",
    "if (run === 'x') this.#outcomes.push({ id, run, path, attempt, value, verdict: { retryable: false } })",
  ),

  // ---- State
  mutant(
    'of two values of one key the last stays',
    1_000,
    'state.ts',
    'this.#conflict ??= key',
    'this.#values.set(key, bytes)',
  ),
  mutant(
    'a returned pipeline sees the state of its caller',
    1_000,
    'engine/places.ts',
    'if (definition !== undefined && definition.inline !== 1) return undefined',
    '',
  ),
  mutant(
    'what a chain has set is dropped at its end',
    1_000,
    'engine/advance.ts',
    'const state = sharesState(place, row) ? row.state : undefined',
    'const state = undefined',
  ),

  // ---- Composition
  mutant(
    'a handler runs without a failure',
    300,
    'engine/advance.ts',
    '} else if (isHandler(found.definition, entry)) {',
    '} else if (entry === undefined) {',
  ),
  mutant(
    'what fails at the end does not fail its pipeline',
    300,
    'engine/advance.ts',
    'if (failure !== undefined && !isFailure(value)) return',
    'if (failure === null) return',
  ),
  mutant(
    'a sleep does not wait',
    1_000,
    'engine/advance.ts',
    "'sleep' in entry ? draft.now + entry.sleep : entry.sleepUntil",
    "'sleep' in entry ? draft.now : entry.sleepUntil",
  ),
  mutant(
    'a delay is not heard of',
    1_000,
    'engine/submit.ts',
    'argsValue(document.input), options.runAt ?? 0)',
    'argsValue(document.input), 0)',
  ),

  mutant(
    'what has run with another is sent, too',
    300,
    'engine/chains.ts',
    'if (sent?.path === next && sent.id === run.row.id) draft.dispatches.pop()',
    'void [sent, next]',
  ),
  mutant(
    'what has run with another is held by a pause',
    6_000,
    'engine/chains.ts',
    'run.hasRun = true',
    'run.hasRun = false',
  ),
  mutant(
    'what a task was given with which another ran is not kept though it failed',
    1_000,
    'worker/runner.ts',
    'const isNeeded = hasFailed && at === passed.length - 1',
    'const isNeeded = hasFailed && at === passed.length',
  ),

  // ---- Groups
  mutant(
    'a chain of a group ends as often as it is told',
    300,
    'engine/groups.ts',
    'if (chunk === undefined || hasBit(chunk.ended, bit)) return undefined',
    'if (chunk === undefined) return undefined',
  ),
  mutant(
    'a chain that has a row of its own is not marked as such',
    300,
    'engine/groups.ts',
    'if (!this.isLive(index)) setBit(',
    'if (index < 0) setBit(',
  ),
  mutant(
    'results of one chunk take the place of each other',
    300,
    'engine/row-keys.ts',
    '.${digits(seq, 1)}`',
    '.${digits(seq & 1, 1)}`',
  ),
  mutant(
    'results in the order in which they come take the place of each other',
    1_000,
    'engine/row-keys.ts',
    '#00000.${digits(seq, 9)}`',
    '#00000.${digits(seq & 1, 9)}`',
  ),
  mutant(
    'a group that fails does not wait for its other chains',
    300,
    'engine/groups.ts',
    'if (ended < size || reopening) return',
    'if ((ended < size && this.row!.failed === 0) || reopening) return',
  ),
  mutant(
    'maxParallelism is not kept to',
    1_000,
    'engine/pump.ts',
    '(waiting.most || Infinity) - (waiting.next - waiting.ended)',
    'Infinity',
  ),

  // ---- Retries and lone tasks
  mutant(
    'a retry does not wait',
    1_000,
    'engine/chains.ts',
    'const due = draft.now + Math.ceil(',
    'const due = draft.now + 0 * Math.ceil(',
  ),
  mutant(
    'one retry too many',
    300,
    'engine/chains.ts',
    'attempt <= retry.maxRetries',
    'attempt <= retry.maxRetries + 1',
  ),
  mutant(
    'what must not be tried again is',
    300,
    'engine/chains.ts',
    'if (verdict.retryable && retry !== undefined',
    'if (retry !== undefined',
  ),
  mutant(
    'the policy that a task was bound with is not heard of',
    300,
    'engine/chains.ts',
    'policyOf(draft, run, open) ?? verdict.retry',
    'policyOf(draft, run, open)',
  ),
  mutant(
    'a lone task is promoted without a tombstone',
    3_000,
    'engine/finish.ts',
    'const TOMBSTONE_MS = 3_600_000',
    'const TOMBSTONE_MS = 0',
  ),

  // ---- Clients, workers and the store
  mutant(
    'what comes late never comes',
    300,
    'memory/namespace.ts',
    'this.clock.after(fault.lateMs, () => this.deliver([kept], {}), { unref: true })',
    'void kept',
  ),
  mutant(
    'a result that was not heard of is not asked for again',
    300,
    'client/replies.ts',
    'if (sent === undefined) this.#askFor([waiter]).catch(reject)\n        this.#askRegularly()',
    'if (sent === undefined) this.#askFor([waiter]).catch(reject)',
  ),
  mutant(
    'an unknown task is a dead letter at once',
    300,
    'worker/consumer.ts',
    'if (this.#unknown.see(message) > unknownTaskGraceMs) {',
    'if (this.#unknown.see(message) >= 0) {',
  ),
  mutant(
    'a worker has one place more than it may',
    300,
    'worker/executor.ts',
    'while (this.#active < this.concurrency && this.#startNext()) {',
    'while (this.#active <= this.concurrency && this.#startNext()) {',
  ),
]
