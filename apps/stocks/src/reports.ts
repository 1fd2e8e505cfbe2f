// What a worker process tells the demo: that it is ready, and each start and end of a task.

export interface ReadyReport {
  readonly type: 'ready'
}

export interface StartReport {
  readonly type: 'start'
  readonly task: string
  /** The entry of the pipeline: equal for every start of it. */
  readonly taskId: string
  /** The pipeline that was submitted. */
  readonly rootId: string
  readonly args: readonly unknown[]
}

export interface EndReport {
  readonly type: 'end'
  readonly taskId: string
  readonly rootId: string
}

export type Report = ReadyReport | StartReport | EndReport
