export type { Act, Call } from './acting'
export { actOf } from './acting'
export type { Choose, ProgramOptions } from './generate'
export { generateProgram } from './generate'
export type { Failed, Given } from './given'
export { argumentsOf, failedOf, inAnyOrder, plainOf, resultOf } from './given'
export type { Expected, ExpectedGroup, ExpectedRun, Outcome } from './expected'
export { interpret } from './interpret'
export type {
  BeginUnit,
  ChainUnit,
  EachUnit,
  Failing,
  Gives,
  GroupUnit,
  ListenUnit,
  Parts,
  Program,
  Setting,
  SleepUnit,
  TaskUnit,
  Unit,
  WaitUnit,
} from './program'
export { eventOf, isEnd, isLoose, listensOf, partsOf, pausesItself, taskNameOf, tasksOf, waitsOf } from './program'
export { simplerPrograms } from './shrink'
