import { describeTransport } from '../src/vitest'
import { memoryHarness } from './support/memory-harness'

describeTransport('memory', memoryHarness())
