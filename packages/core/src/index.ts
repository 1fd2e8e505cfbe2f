// Describing work
export type { Clock } from './clock'
export type { DeclareOptions, TaskOf, Tasks, TasksOptions } from './tasks'
export type { TaskOptions } from './task-options'
export { createTasks } from './tasks'
export type {
  Composable,
  FinalPipeline,
  Flat,
  GroupOptions,
  Initial,
  Pipeline,
  ResultOf,
  Submittable,
  Task,
  UseOptions,
} from './pipeline'
export { fanOut, inParallel, isPipeline, sleep, sleepUntil } from './pipeline'
export type { AwaitedEvent, BoundListener, WaitForEventOptions } from './wait-for-event'
export { waitForEvent } from './wait-for-event'
export type { EventListener, ListenerOptions, PollOptions, TimedListener } from './event-listener'
export type { PassedOn } from './passing'
export type { Spread } from './spread'
export { isSpread, spread } from './spread'
export type {
  ArgsData,
  Chain,
  Definition,
  EachEntry,
  Entry,
  EventEntry,
  GroupEntry,
  PageRef,
  Parallel,
  Scalar,
  SleepEntry,
  Step,
  TaskEntry,
} from './definition'
export { parseDefinition } from './definition-parser'
export type { DrawOptions } from './draw'
export { toMermaid, toText } from './draw'
export type { TaskContext, TaskState } from './context'
export { taskContext } from './context'
export type { Failure } from './failure'
export { fromFailure, toFailure } from './failure'
export type { FailedTask, TaskErrorCode, TaskErrorOptions } from './errors'
export { NonRetryableError, RetryAfterError, TaskError, taskErrorCodes, TaskVetoError } from './errors'
export type { ErrorClass, RetryData, RetryPolicy } from './retry'
export type { StandardIssue, StandardResult, StandardSchema } from './schema'
export type { Codec } from './codec'
export type { JsonCodecOptions } from './json-codec'
export { jsonCodec } from './json-codec'

// Running it
export type { TaskEnd, TaskHook, TaskHookEvents, TaskHookName, TaskHooks } from './worker/task-hooks'
export type { WorkerOptions } from './worker/settings'
export type { Worker } from './worker/worker'
export { startWorker } from './worker/worker'
export type { Client, ClientOptions } from './client/client'
export type { EnqueueOptions, SubmitOptions } from './client/options'
export { createClient } from './client/client'
export type { CancelOptions } from './client/commands'
export type { SubscribeOptions as EventSubscribeOptions, Subscription } from './client/subscriptions'
export type { EventGap, EventItem, EventSeen, EventsFrom, EventStream } from './events/event-stream'
export type { SendEventOptions } from './events/sent-event'
export type { HueyEvent, HueyStatus } from './events/huey-event'
export { hueyEvent } from './events/huey-event'
export type {
  TaskDuration,
  TracedError,
  WorkerEvent,
  WorkerEvents,
  WorkerEventType,
  WorkerTask,
} from './events/worker-event'
export type { EventFilter } from './events/event-filter'
export type { CloudEvent } from './events/cloud-event'
export type {
  EntryInfo,
  EventLevel,
  PipelineCreated,
  PipelineEvent,
  PipelineEvents,
  PipelineEventType,
  PipelineStatusChanged,
  PipelineTasksSkipped,
  SentEventData,
  TaskAttempt,
  TaskFailed,
  TaskInfo,
  TaskRetried,
  TaskSent,
} from './events/pipeline-event'
export type { PipelineHandle, Progress, TaskHandle, WaitOptions } from './client/handle'
export type { DeadLetterBox, DeadLetterView } from './client/dead-letter-box'
export type { DescribeOptions, ListOptions, Owners, PipelineList } from './client/questions'
export type {
  ChainDescription,
  EntryDescription,
  EntryState,
  GroupDescription,
  PipelineDescription,
} from './engine/describe'
export type { DescribedError } from './described-error'
export type { FailuresPage, GroupFailure } from './engine/group-failures'
export type { GroupProgress, PipelineStatus } from './engine/queries'
export type { ReturnedPipeline } from './engine/returned-pipelines'
export { pipelineStatuses } from './wire/reply'
export type { Status } from './wire/reply'
export { stderrLogger } from './logger'
export type { Logger, LogFields, StderrLoggerOptions } from './logger'

// Transports
export type { Adapter, AdapterOptions } from './adapter/adapter'
export type { Connection, ConnectOptions } from './connect'
export { connect, redactUrl } from './connect'
export type * from './transport'

// Configuration
export type { Config, LoadConfigOptions, LoadedConfig, Setting, Settings } from './config'
export { defineConfig, findConfig, loadConfig } from './config'
