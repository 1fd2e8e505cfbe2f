import { engineCases, transportCases } from '../src/index'
import { describeTransport } from '../src/vitest'
import { memoryHarness } from './support/memory-harness'

describeTransport('memory', memoryHarness(), { cases: transportCases })

// "Runs each task once" holds while no lease runs out: it has to be longer than a busy machine stands still.
describeTransport('the engine on memory', memoryHarness({ leaseMs: 800 }), { cases: engineCases })
