import { transportCases } from '../src/index'
import { describeTransport } from '../src/node-test'
import { memoryHarness } from './support/memory-harness'

// The binder is what is tested here; the vitest suite runs the engine's cases as well.
describeTransport('memory', memoryHarness(), { cases: transportCases })
